"""Policy: who may ask for what, and what a second person has to see first.

Promises: pure; one answer for one question, the same in the service and in `provisioner check`.
Who asks is the owner of the request's file; which person a portal's user writes for is believed
only from portals that the policy names. What no rule allows is refused, with the reason and
what to do. Leaves out: finding out what a question has to know (`submitters`, `review`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from typing import Literal

from provisioner.config import PolicyConfig, RuleConfig
from provisioner.contract import Key, split_key
from provisioner.request import Request
from provisioner.sizes import format_size
from provisioner.submitters import Submitter

ALLOW: Literal["allow"] = "allow"
REVIEW: Literal["review"] = "review"
REFUSE: Literal["refuse"] = "refuse"

SYSTEM_USERS = (
    *("root", "toor", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp"),
    *("proxy", "www-data", "backup", "list", "irc", "gnats", "nobody", "adm", "shutdown", "halt"),
    *("operator", "ftp", "sshd", "dbus", "messagebus", "polkitd", "sssd", "munge", "slurm", "ntp"),
    *("chrony", "rpc", "rpcuser", "ldap", "named", "mysql", "postgres", "systemd-*", "_*"),
    *("administrator", "guest", "krbtgt"),
)
SYSTEM_GROUPS = (
    *(
        "root",
        "wheel",
        "sudo",
        "admin",
        "adm",
        "daemon",
        "bin",
        "sys",
        "disk",
        "kmem",
        "mem",
        "tty",
    ),
    *(
        "shadow",
        "staff",
        "users",
        "operator",
        "src",
        "utmp",
        "utempter",
        "lxd",
        "docker",
        "libvirt",
    ),
    *("kvm", "dialout", "cdrom", "floppy", "tape", "audio", "video", "input", "render", "sgx"),
    *("plugdev", "netdev", "ssh_keys", "sshd", "slurm", "munge", "nobody", "nogroup", "systemd-*"),
    *("administrators", "wbpriv"),
)
SYSTEM_ACCOUNTS = ("root",)
"""Names that no request may touch, whoever sends it: what they are on hosts, in AD and in Slurm."""

_STAGING_GROUP = (
    *("user.*", "project.*", "allocation.*", "membership.*", "reconcile", "adopt"),
    *("request.retry", "request.hold", "request.cancel"),
)
"""What members of the staging group may ask for where no rules say it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The request that a verb steers.

    uid: its submitter; held_by: None where it is not held; on_behalf_of: the person for whom it
    was asked, where that was believed.
    """

    id: str
    uid: int
    writer: str
    held_by: str | None
    on_behalf_of: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for, as far as policy looks at it.

    resources: the one that is named, and those that the subject has already; names: protected ones
    would be among these, by kind; fresh: users that nobody knew; recent: how many of those the
    submitter brought within the hour; hit: users who would lose access, with those who just did;
    known: users there are; on_behalf_of: the person whom the request names, believed or not.
    """

    action: str
    resources: frozenset[str] = frozenset()
    space: int | None = None
    files: int | None = None
    adopt: bool = False
    names: Mapping[str, tuple[str, ...]] | None = None
    fresh: tuple[str, ...] = ()
    recent: int = 0
    hit: int = 0
    known: int = 0
    target: Target | None = None
    approved: bool = False
    on_behalf_of: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What policy says. why: for whoever asked; advice: what to do about it."""

    verdict: Literal["allow", "review", "refuse"]
    why: str = ""
    advice: str = ""


ALLOWED = Answer(ALLOW)


class Policy:
    """The rules of one site."""

    def __init__(self, config: PolicyConfig, staging_group: str | None, service_uid: int) -> None:
        """service_uid: the user who serves; like root, who could write the journal itself."""
        self._trusted = {0, service_uid}
        self._mass = config.mass
        self._portals = config.portals
        rules = config.rules
        if rules is None:
            who = (f"@{staging_group}",) if staging_group else ()
            rules = (RuleConfig(who=who, actions=_STAGING_GROUP, adopt=True),)
        self._rules = rules
        given = config.protected
        listed = {
            "user": (*SYSTEM_USERS, *given.users),
            "group": (*SYSTEM_GROUPS, *given.groups),
            "account": (*SYSTEM_ACCOUNTS, *given.accounts),
        }
        listed["object"] = tuple(name for names in listed.values() for name in names)
        self._protected = {kind: _Names(names) for kind, names in listed.items()}
        self.counts_new_users = any(rule.new_users is not None for rule in rules)
        self.knows_resources = any(rule.resources for rule in rules)

    @property
    def harmless(self) -> int:
        """Say how many users may be shut out at once whatever their share."""
        return self._mass.users

    @property
    def at_once(self) -> float:
        """Return the seconds for which one submitter's requests count together."""
        return self._mass.minutes * 60

    def trusts(self, uid: int) -> bool:
        """Say whether a user needs no rule: root, and who serves."""
        return uid in self._trusted

    def believed(self, who: Submitter, person: str | None) -> str | None:
        """Return the person whom a submitter says to write for; None: that counts for nothing."""
        return person if self.trusts(who.uid) or _names(self._portals, who) else None

    def protects(self, key: Key) -> bool:
        """Say whether an object bears a name that no request touches."""
        protected = self._protected["object"]
        return any(name.casefold() in protected for name in split_key(key)[2:])

    @property
    def releasers(self) -> tuple[str, ...]:
        """List who may release what is held, as rules name them."""
        may = (
            name
            for rule in self._rules
            if rule.others and not rule.review and _matches("request.release", rule.actions)
            for name in rule.who
        )
        return tuple(dict.fromkeys(("root", *may)))

    def decide(self, who: Submitter, asked: Question) -> Answer:
        """Answer a question."""
        for answer in (self._own_release(who, asked), self._untouchable(asked)):
            if answer is not None:
                return answer
        answer = ALLOWED if self.trusts(who.uid) else self._by_rules(who, asked)
        if answer.verdict == ALLOW:
            answer = self.crowd(asked.hit, asked.known) or answer
        if answer.verdict == REVIEW and asked.approved:
            return ALLOWED
        return answer

    def _own_release(self, who: Submitter, asked: Question) -> Answer | None:
        target = asked.target
        if asked.action != "request.release" or target is None or target.uid != who.uid:
            return None
        if target.held_by == who.name:
            return None
        person = self.believed(who, asked.on_behalf_of)
        if person is not None and not _same(person, target.on_behalf_of):
            return None
        return Answer(
            REFUSE,
            f"{target.id} is {person or who.name}'s own, and nobody releases their own",
            f"ask another of {', '.join(self.releasers)}",
        )

    def _untouchable(self, asked: Question) -> Answer | None:
        for kind, names in (asked.names or {}).items():
            protected = self._protected[kind]
            for name in names:
                if name.casefold() in protected:
                    return Answer(
                        REFUSE,
                        f"{name} is protected: no request touches it, whoever sends it",
                        "see policy.protected in the configuration; system names stay protected",
                    )
        return None

    def _by_rules(self, who: Submitter, asked: Question) -> Answer:
        misfits: list[str] = []
        allowed: list[str] = []
        for rule in self._rules:
            if not _names(rule.who, who):
                continue
            if not _matches(asked.action, rule.actions):
                allowed += rule.actions
                continue
            misfit = _misfit(rule, who, asked)
            if misfit is None:
                if not rule.review:
                    return ALLOWED
                more = f", as {misfits[0]}" if misfits else ""
                why = f"{asked.action} by {who.name} is to be reviewed{more}"
                return Answer(REVIEW, why, self._release_advice(who))
            misfits.append(misfit)
        if misfits:
            return Answer(REFUSE, misfits[0], self._refusal_advice())
        if allowed:
            may = ", ".join(dict.fromkeys(allowed))
            why = f"{who.name} may not ask for {asked.action}; they may for {may}"
            return Answer(REFUSE, why, self._refusal_advice())
        return Answer(REFUSE, f"{who.name} may not ask for anything here", self._refusal_advice())

    def crowd(self, hit: int, known: int) -> Answer | None:
        """Say what is to be reviewed about shutting so many of the known users out at once."""
        if hit <= self._mass.users or hit * 100 <= self._mass.share * known:
            return None
        return Answer(
            REVIEW,
            f"it would shut out {hit} of the {known} known users at once, "
            f"more than {self._mass.share:g} %",
            self._release_advice(None),
        )

    def _release_advice(self, who: Submitter | None) -> str:
        but = f"but not {who.name}" if who is not None else "but not by who sent it"
        if who is not None and self._releases_for_others(who):
            but = f"or by {who.name} for another person"
        return f"a release by one of {', '.join(self.releasers)}, {but}"

    def _releases_for_others(self, who: Submitter) -> bool:
        return _names(self._portals, who) and any(
            _names(rule.who, who) and _matches("request.release", rule.actions) and not rule.review
            for rule in self._rules
        )

    def _refusal_advice(self) -> str:
        return f"ask {' or '.join(self.releasers)} to send it, or to change policy.rules"


def question(request: Request, keys: Iterable[Key] = ()) -> Question:
    """Make the question that a request is by itself. keys: the objects that it claims."""
    quota = (request.values.get("allocation") or {}).get("quota") or {}
    return Question(
        action=request.action,
        resources=frozenset({request.resource} if request.resource else ()),
        space=quota.get("space"),
        files=quota.get("files"),
        adopt=request.adopt or bool(request.values.get("differing")),
        names=_names_in(request, keys),
        on_behalf_of=request.on_behalf_of,
    )


def _names_in(request: Request, keys: Iterable[Key]) -> Mapping[str, tuple[str, ...]]:
    values = request.values
    user = values.get("user") or {}
    code = (values.get("project") or {}).get("code")
    account = ((values.get("allocation") or {}).get("slurm") or {}).get("account")
    codes = (code,) if code else ()
    return {
        "user": request.users,
        "group": (*user.get("groups", ()), *codes),
        "account": (*codes, *((account,) if account else ())),
        # A route may make names of whatever a request says.
        "object": tuple(sorted({name for key in keys for name in split_key(key)[2:]})),
    }


class _Names:
    """Names and patterns of names. Every name of every request is held against some hundred."""

    def __init__(self, names: Iterable[str]) -> None:
        folded = {name.casefold() for name in names}
        patterns = {name for name in folded if not _WILD.isdisjoint(name)}
        self._plain = folded - patterns
        self._patterns = re.compile("|".join(map(translate, sorted(patterns))) or r"(?!)")

    def __contains__(self, name: str) -> bool:
        return name in self._plain or self._patterns.match(name) is not None


_WILD = frozenset("*?[")


def _same(person: str, other: str | None) -> bool:
    return other is not None and person.casefold() == other.casefold()


def _names(listed: Sequence[str], who: Submitter) -> bool:
    return any(
        name == "*" or (name[1:] in who.groups if name.startswith("@") else name == who.name)
        for name in listed
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _misfit(rule: RuleConfig, who: Submitter, asked: Question) -> str | None:
    """Say why a rule that is for the submitter and the action does not fit; None: it does."""
    if rule.resources:
        if not asked.resources:
            return f"{who.name} may ask for {asked.action} on {_list(rule.resources)} only, by name"
        beyond = sorted(asked.resources.difference(rule.resources))
        if beyond:
            return f"{who.name} may not ask for {asked.action} on {_list(beyond)}"
    if rule.space is not None and asked.space is not None and asked.space > rule.space:
        most = format_size(rule.space)
        return f"a quota of {format_size(asked.space)} is more than {most}"
    if rule.files is not None and asked.files is not None and asked.files > rule.files:
        return f"a quota of {asked.files} files is more than {rule.files}"
    total = asked.recent + len(asked.fresh)
    if rule.new_users is not None and asked.fresh and total > rule.new_users:
        return f"new users within the hour: {total}, of at most {rule.new_users}"
    if asked.adopt and not rule.adopt:
        return f"{who.name} may not say `adopt: true`"
    if asked.target is not None and asked.target.uid != who.uid and not rule.others:
        return f"{asked.target.id} is {asked.target.writer}'s: {who.name} may steer their own only"
    return None


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
