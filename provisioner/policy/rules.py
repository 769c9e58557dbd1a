"""Rules: what policy looks at in a request, and whether a rule fits it.

Promises: pure. A question contains everything that a rule may look at, and a rule that does not fit
says why. Leaves out: which rule decides, and what holds besides rules (`policy`); collecting what a
question needs from the journal (`review`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from provisioner.config.policy import RuleConfig
from provisioner.contract import Key, split_key
from provisioner.contract.texts import format_size
from provisioner.plain.values import value
from provisioner.policy.persons import account
from provisioner.request.request import Request
from provisioner.system.ulid import RequestId
from provisioner.system.users import Submitter


@dataclass(frozen=True, slots=True)
class Target:
    """The request that a verb steers.

    uid: its submitter; held: it waits for a release now; held_by: who held it last, and for whom,
    None if nobody did; on_behalf_of: the person behind its writer, if that was believed; behind:
    more names of those who asked for it, None if they are no longer known; reviewed: policy holds
    it until a second person has seen it; digest: the SHA-256 of its bytes; before: who asked the
    same writer for the same subject since that was last done, because a program repeats what was
    not done; stopped: another request of its writer for the same subject and action that `held_by`
    holds, or held when it was cancelled.
    """

    id: RequestId
    uid: int
    writer: str
    held_by: str | None
    on_behalf_of: str | None = None
    behind: tuple[str, ...] | None = ()
    reviewed: bool = False
    digest: str = ""
    before: tuple[str, ...] = ()
    held: bool = True
    stopped: RequestId | None = None

    @property
    def askers(self) -> tuple[str, ...]:
        """The names of everybody who asked for it."""
        person = (self.on_behalf_of,) if self.on_behalf_of is not None else ()
        return (*account(self.writer, self.uid), *person, *(self.behind or ()))

    def is_of(self, submitter: Submitter) -> bool:
        """Return True if it is a submitter's own: a uid may have had another user when it asked."""
        return (self.uid, self.writer) == (submitter.uid, submitter.own)


@value(frozen=True, slots=True)
class Question:
    """What is asked for, as far as policy looks at it.

    resources: the one that the request names, or else those that the subject has; already: those
    that it has besides the named one; projects, accounts: those that the request names and the
    subject has; owners: the other submitters whose subject it is; nobodys: nobody known has ever
    asked for it, and neither has this submitter; path: the request says where storage is; numbers:
    keys by which it gives numbers of users and groups; names: the names to compare with protected
    ones, by kind; told: who gets mail besides its users; fresh: new users; recent: how many new
    users the submitter brought within the hour; lately: how many requests it sent in that time;
    hit: people who would lose something, with those who just did; known: people who have something;
    left: people's data that would be left, and for what; on_behalf_of: the person whom the request
    names, believed or not; digest: that of the request which was looked at before its release.
    """

    action: str
    resources: frozenset[str] = frozenset()
    already: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    owners: tuple[str, ...] = ()
    nobodys: bool = False
    space: int | None = None
    files: int | None = None
    adopt: bool = False
    path: bool = False
    numbers: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] | None = None
    told: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    recent: int = 0
    lately: int = 0
    hit: int = 0
    known: int = 0
    left: tuple[str, ...] = ()
    target: Target | None = None
    approved: bool = False
    on_behalf_of: str | None = None
    digest: str | None = None


_TOLD = 5
"""The most names of strangers in one answer."""

Misfit = Callable[[RuleConfig, Submitter, Question], str | None]
"""Returns why a rule for the submitter and the action does not fit; None if it does."""


def question(request: Request, keys: Iterable[Key] = ()) -> Question:
    """Return the question of a request alone. keys: the objects that it claims."""
    values = request.values
    user, project = values.get("user") or _NOTHING, values.get("project") or _NOTHING
    allocation = values.get("allocation") or _NOTHING
    slurm = allocation.get("slurm") or _NOTHING
    storage, quota = allocation.get("storage") or _NOTHING, allocation.get("quota") or _NOTHING
    groups, code = user.get("groups") or (), project.get("code")
    codes = (code,) if code else ()
    account, above, fileset = slurm.get("account"), slurm.get("parent"), storage.get("fileset")
    projects = frozenset((*codes, *filter(None, groups)))
    return Question(
        action=request.action,
        resources=frozenset((request.resource,) if request.resource else ()),
        projects=projects,
        accounts=projects.union(filter(None, (account, above, fileset))),
        space=quota.get("space"),
        files=quota.get("files"),
        adopt=request.adopt or bool(values.get("differing")),
        path=bool(storage.get("path")),
        numbers=_numbers_in(user, project),
        names={
            "user": request.users,
            "group": (*groups, *codes),
            # Each account directly below the root of the tree stands alone.
            "account": (*codes, *filter(None, (account, above if above != "root" else None))),
            # A route can make names from anything in a request.
            "object": tuple(sorted({name for key in keys for name in split_key(key)[2:]})),
        },
        told=_led_by(project, allocation.get("project") or _NOTHING),
        on_behalf_of=request.on_behalf_of,
        digest=values.get("digest"),
    )


_NOTHING: Mapping[str, Any] = {}


def _led_by(*projects: Mapping[str, Any]) -> tuple[str, ...]:
    """Return who leads projects: they are told of what becomes of them."""
    return tuple(
        name
        for project in projects
        for name in (project.get("pi"), *(project.get("managers") or ()))
        if name
    )


def _numbers_in(user: Mapping[str, Any], project: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys by which a request gives numbers."""
    given = (("user.uid", user, "uid"), ("user.gid", user, "gid"), ("project.gid", project, "gid"))
    return tuple([name for name, part, key in given if part.get(key) is not None])


def named(listed: Sequence[str], submitter: Submitter) -> bool:
    """Return True if a list of users and groups names a submitter."""
    return any(
        name == "*"
        or (name[1:] in submitter.groups if name.startswith("@") else name == submitter.name)
        for name in listed
    )


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return True if one of some patterns is for a name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def misfit(rule: RuleConfig, submitter: Submitter, question: Question) -> str | None:
    """Return why a rule for the submitter and the action does not fit; None if it does."""
    if rule.resources and not question.resources:
        only = _list(rule.resources)
        return f"{submitter.name} may ask for {question.action} only on {only}, and has to name one"
    users = (question.names or _NOTHING).get("user", ())
    if rule.projects and not question.projects and not (rule.users and users):
        only = _list(rule.projects)
        return f"{submitter.name} may ask for {question.action} only of projects {only}, by name"
    if question.owners and not rule.others:
        return f"it is {_list(question.owners)}'s: {submitter.name} may ask for their own only"
    if question.nobodys and not rule.others:
        # It would close what the owner makes later, and only the one who suspended can lift it.
        return f"nobody has asked for it yet: {submitter.name} may suspend their own only"
    why_not = misfit_by_itself(rule, submitter, question)
    if why_not is not None:
        return why_not
    total = question.recent + len(question.fresh)
    if rule.new_users is not None and question.fresh and total > rule.new_users:
        return f"{total} new users within the hour; the limit is {rule.new_users}"
    if rule.hourly is not None and question.lately >= rule.hourly:
        many = f"{question.lately + 1} requests of {submitter.name} within the hour"
        return f"{many}; the limit is {rule.hourly}"
    target = question.target
    if target is not None and not target.is_of(submitter) and not rule.others:
        owned = f"{target.id} is {target.writer}'s"
        return f"{owned}: {submitter.name} may steer their own only"
    return None


def misfit_by_itself(rule: RuleConfig, submitter: Submitter, question: Question) -> str | None:
    """Return why a rule does not fit what the request itself says; None if it may fit."""
    named = question.resources.difference(rule.resources) if rule.resources else frozenset()
    beyond = named | question.already
    if beyond:
        return f"{submitter.name} may not ask for {question.action} on {_list(sorted(beyond))}"
    strange = _strangers(question.projects, rule.projects) if rule.projects else []
    if rule.projects or rule.accounts:
        strange += _strangers(question.accounts, (*rule.projects, *rule.accounts))
    if rule.users:
        people = (*(question.names or _NOTHING).get("user", ()), *question.told)
        strange += _strangers(people, rule.users)
    if strange:
        return (
            f"{submitter.name} may not ask for {question.action} of {_some(dict.fromkeys(strange))}"
        )
    if rule.space is not None and question.space is not None and question.space > rule.space:
        most = format_size(rule.space)
        return f"a quota of {format_size(question.space)} is more than {most}"
    if rule.files is not None and question.files is not None and question.files > rule.files:
        return f"a quota of {question.files} files is more than {rule.files}"
    if question.adopt and not rule.adopt:
        return f"{submitter.name} may not say `adopt: true`"
    if question.path and not rule.paths:
        return f"{submitter.name} may not say where storage is: `storage.path`"
    if question.numbers and not rule.numbers:
        # A number is a name: a user with a group's number is in it, whatever it is called.
        return f"{submitter.name} may not give numbers: `{question.numbers[0]}`"
    return None


def _strangers(named: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that no pattern matches; upper and lower case are the same."""
    folded = [pattern.casefold() for pattern in patterns]
    return sorted(name for name in named if not matches(name.casefold(), folded))


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _some(names: Collection[str]) -> str:
    """Return the first of some names, and how many more there are: users can be thousands."""
    more = len(names) - _TOLD
    return _list(islice(names, _TOLD)) + (f" and {more} more" if more > 0 else "")
