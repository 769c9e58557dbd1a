"""Rules: what policy looks at in a request, and whether a rule fits it.

Promises: pure; a question says all that a rule may look at, and a rule that does not fit says why.
Leaves out: which rule decides, and what holds beside rules (`policy`); finding out what a question
has to know of the journal (`review`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from provisioner.config.policy import RuleConfig
from provisioner.contract import Key, split_key
from provisioner.contract.sizes import format_size
from provisioner.policy.persons import account
from provisioner.request.request import Request
from provisioner.system.users import Submitter


@dataclass(frozen=True, slots=True)
class Target:
    """The request that a verb steers.

    uid: its submitter; held_by: None where it is not held; on_behalf_of: the person for whom it
    was asked, where that was believed; behind: more names of those who asked for it; None: that is
    not known any more; reviewed: policy holds it until a second person has seen it; digest: the
    SHA-256 of its bytes; before: who asked the same writer for the same subject since that was done
    last, as a program says again what was not done.
    """

    id: str
    uid: int
    writer: str
    held_by: str | None
    on_behalf_of: str | None = None
    behind: tuple[str, ...] | None = ()
    reviewed: bool = False
    digest: str = ""
    before: tuple[str, ...] = ()

    @property
    def askers(self) -> tuple[str, ...]:
        """List the names of all who asked for it."""
        person = (self.on_behalf_of,) if self.on_behalf_of is not None else ()
        return (*account(self.writer, self.uid), *person, *(self.behind or ()))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for, as far as policy looks at it.

    resources: the one that is named, or else those that the subject has; already: those that it
    has beside the one that is named; projects, accounts: those that the request names and the
    subject has; owners: the other submitters whose subject it is; nobodys: neither this submitter
    nor anybody who is known has ever asked for it; path: the request says where storage lies;
    numbers: keys by which it gives numbers of users and groups; names: protected ones would be
    among these, by kind; fresh: users that nobody knew; recent: how many of those the submitter
    brought within the hour; hit: people who would lose something, with those who just did; known:
    people who have something; left: what would be left with people's data in it, and for what;
    on_behalf_of: the person whom the request names, believed or not;
    digest: that of the request which was looked at before it is released.
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
    fresh: tuple[str, ...] = ()
    recent: int = 0
    hit: int = 0
    known: int = 0
    left: tuple[str, ...] = ()
    target: Target | None = None
    approved: bool = False
    on_behalf_of: str | None = None
    digest: str | None = None


Misfit = Callable[[RuleConfig, Submitter, Question], str | None]
"""Says why a rule that is for the submitter and the action does not fit; None: it does."""


def question(request: Request, keys: Iterable[Key] = ()) -> Question:
    """Make the question that a request is by itself. keys: the objects that it claims."""
    allocation = request.values.get("allocation") or {}
    quota = allocation.get("quota") or {}
    code = (request.values.get("project") or {}).get("code")
    groups = (request.values.get("user") or {}).get("groups") or ()
    slurm = allocation.get("slurm") or {}
    storage = allocation.get("storage") or {}
    accounts = (slurm.get("account"), slurm.get("parent"), storage.get("fileset"))
    projects = frozenset(name for name in (code, *groups) if name)
    return Question(
        action=request.action,
        resources=frozenset({request.resource} if request.resource else ()),
        projects=projects,
        accounts=projects.union(name for name in accounts if name),
        space=quota.get("space"),
        files=quota.get("files"),
        adopt=request.adopt or bool(request.values.get("differing")),
        path=bool(storage.get("path")),
        numbers=_numbers_in(request),
        names=_names_in(request, keys),
        on_behalf_of=request.on_behalf_of,
        digest=request.values.get("digest"),
    )


def _numbers_in(request: Request) -> tuple[str, ...]:
    """List the keys by which a request gives numbers."""
    given = (("user", "uid"), ("user", "gid"), ("project", "gid"))
    found = ((part, key, (request.values.get(part) or {}).get(key)) for part, key in given)
    return tuple(f"{part}.{key}" for part, key, number in found if number is not None)


def _names_in(request: Request, keys: Iterable[Key]) -> Mapping[str, tuple[str, ...]]:
    values = request.values
    user = values.get("user") or {}
    code = (values.get("project") or {}).get("code")
    slurm = (values.get("allocation") or {}).get("slurm") or {}
    # Below the tree's root is every account by itself.
    above = slurm.get("parent") if slurm.get("parent") != "root" else None
    codes = (code,) if code else ()
    return {
        "user": request.users,
        "group": (*user.get("groups", ()), *codes),
        "account": (*codes, *(name for name in (slurm.get("account"), above) if name)),
        # A route may make names of whatever a request says.
        "object": tuple(sorted({name for key in keys for name in split_key(key)[2:]})),
    }


def named(listed: Sequence[str], who: Submitter) -> bool:
    """Return True if a list of users and groups names a submitter."""
    return any(
        name == "*" or (name[1:] in who.groups if name.startswith("@") else name == who.name)
        for name in listed
    )


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return True if one of some patterns is for a name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def misfit(rule: RuleConfig, who: Submitter, asked: Question) -> str | None:
    """Say why a rule that is for the submitter and the action does not fit; None: it does."""
    if rule.resources and not asked.resources:
        return f"{who.name} may ask for {asked.action} on {_list(rule.resources)} only, by name"
    if rule.projects and not asked.projects:
        of = _list(rule.projects)
        return f"{who.name} may ask for {asked.action} of projects {of} only, by name"
    if asked.owners and not rule.others:
        return f"it is {_list(asked.owners)}'s: {who.name} may ask for their own only"
    if asked.nobodys and not rule.others:
        # It would close what its owner makes later, and only who suspended it lifts that.
        return f"nobody has asked for it yet: {who.name} may suspend their own only"
    why_not = misfit_by_itself(rule, who, asked)
    if why_not is not None:
        return why_not
    total = asked.recent + len(asked.fresh)
    if rule.new_users is not None and asked.fresh and total > rule.new_users:
        return f"new users within the hour: {total}, of at most {rule.new_users}"
    if asked.target is not None and asked.target.uid != who.uid and not rule.others:
        return f"{asked.target.id} is {asked.target.writer}'s: {who.name} may steer their own only"
    return None


def misfit_by_itself(rule: RuleConfig, who: Submitter, asked: Question) -> str | None:
    """Say why a rule does not fit by what is named alone; None: more has to be known."""
    named = asked.resources.difference(rule.resources) if rule.resources else frozenset()
    beyond = named | asked.already
    if beyond:
        return f"{who.name} may not ask for {asked.action} on {_list(sorted(beyond))}"
    strange = _strangers(asked.projects, rule.projects) if rule.projects else []
    if rule.projects or rule.accounts:
        strange += _strangers(asked.accounts, (*rule.projects, *rule.accounts))
    if strange:
        return f"{who.name} may not ask for {asked.action} of {_list(dict.fromkeys(strange))}"
    if rule.space is not None and asked.space is not None and asked.space > rule.space:
        most = format_size(rule.space)
        return f"a quota of {format_size(asked.space)} is more than {most}"
    if rule.files is not None and asked.files is not None and asked.files > rule.files:
        return f"a quota of {asked.files} files is more than {rule.files}"
    if asked.adopt and not rule.adopt:
        return f"{who.name} may not say `adopt: true`"
    if asked.path and not rule.paths:
        return f"{who.name} may not say where storage lies: `storage.path`"
    if asked.numbers and not rule.numbers:
        # A number is a name: who bears a group's is in it, whatever the group is called.
        return f"{who.name} may not give numbers: `{asked.numbers[0]}`"
    return None


def _strangers(named: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """List the names that no pattern is for; upper and lower case are the same."""
    folded = [pattern.casefold() for pattern in patterns]
    return sorted(name for name in named if not matches(name.casefold(), folded))


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
