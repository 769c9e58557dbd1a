"""Policy: who may ask for what, and what a second person has to see first.

Promises: pure; one answer for one question, the same in the service and in `provisioner check`.
Who asks is the owner of the request's file; which person a portal's user writes for is believed
only from portals that the policy names. Who asked for something does not release it, by whatever
account or portal, and nobody releases what they did not look at. What no rule allows is refused,
with the reason and what to do. Leaves out: finding out what a question has to know (`users`,
`review`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from provisioner.config.policy import PolicyConfig, RuleConfig
from provisioner.contract import Key, split_key
from provisioner.policy import persons
from provisioner.policy.protected import SYSTEM_ACCOUNTS, SYSTEM_GROUPS, SYSTEM_USERS, Names
from provisioner.policy.rules import Misfit, Question, matches, misfit, misfit_by_itself, named
from provisioner.system.users import Submitter

ALLOW: Literal["allow"] = "allow"
REVIEW: Literal["review"] = "review"
REFUSE: Literal["refuse"] = "refuse"

_STAGING_GROUP = ("user.*", "project.*", "allocation.*", "membership.*", "reconcile", "adopt")
"""What members of the staging group may ask for where no rules say it, whose subject it be."""

_OF_MANY = ("allocation.provision", "project.provision")
"""What lists people whom others put there."""

_OWN_REQUESTS = ("request.retry", "request.hold", "request.cancel")
"""What they may do with their own requests."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What policy says. why: for whoever asked; advice: what to do about it."""

    verdict: Literal["allow", "review", "refuse"]
    why: str = ""
    advice: str = ""


ALLOWED = Answer(ALLOW)


class Policy:
    """The rules of one site."""

    def __init__(
        self,
        config: PolicyConfig,
        staging_group: str | None,
        service_uid: int,
        realms: Collection[str] = (),
    ) -> None:
        """service_uid: the user who serves; like root, who could write the journal itself; realms:
        domains whose NAME@REALM is this site's NAME.
        """
        self._trusted = {0, service_uid}
        self._mass = config.mass
        self._portals = config.portals
        self._persons = persons.Persons(config.persons, realms)
        rules = config.rules
        if rules is None:
            who = (f"@{staging_group}",) if staging_group else ()
            rules = (
                RuleConfig(who=who, actions=_STAGING_GROUP, adopt=True, numbers=True, others=True),
                RuleConfig(who=who, actions=_OWN_REQUESTS),
            )
        self._rules = rules
        given = config.protected
        listed = {
            "user": (*SYSTEM_USERS, *given.users),
            "group": (*SYSTEM_GROUPS, *given.groups),
            "account": (*SYSTEM_ACCOUNTS, *given.accounts),
        }
        listed["object"] = tuple(name for names in listed.values() for name in names)
        self._protected = {kind: Names(names) for kind, names in listed.items()}
        self.counts_new_users = any(rule.new_users is not None for rule in rules)
        self.knows_subjects = any(
            rule.resources or rule.projects or rule.accounts or not rule.others for rule in rules
        )

    @property
    def harmless(self) -> int:
        """Say how many people may lose something at once whatever their share."""
        return self._mass.users

    @property
    def at_once(self) -> float:
        """Return the seconds for which one submitter's requests count together."""
        return self._mass.minutes * 60

    def trusts(self, uid: int) -> bool:
        """Return True if a user needs no rule: root, and who serves."""
        return uid in self._trusted

    def is_outsider(self, who: Submitter) -> bool:
        """Return True if somebody may ask for nothing at all: neither trusted, nor in any rule."""
        return not (self.trusts(who.uid) or any(named(rule.who, who) for rule in self._rules))

    def believed(self, who: Submitter, person: str | None) -> str | None:
        """Return the person whom a submitter says to write for; None: that counts for nothing."""
        return person if self.trusts(who.uid) or named(self._portals, who) else None

    def steers_others(self, who: Submitter, action: str) -> bool:
        """Say whether a submitter may ask for an action on what is another's, and know of that."""
        return self.trusts(who.uid) or any(
            rule.others and named(rule.who, who) and matches(action, rule.actions)
            for rule in self._rules
        )

    def protects(self, key: Key) -> bool:
        """Return True if an object bears a name that no request touches."""
        protected = self._protected["object"]
        return any(name.casefold() in protected for name in split_key(key)[2:])

    def spares(self, who: Submitter, action: str) -> bool:
        """Say whether a request goes without those of its users who cannot have what it asks for.

        A portal lists whom its people put there: one of them is to keep no other out, or in.
        """
        return action in _OF_MANY and named(self._portals, who)

    def protected_among(self, users: Sequence[str]) -> tuple[str, ...]:
        """Name those of some users who bear protected names."""
        return tuple(name for name in users if name.casefold() in self._protected["object"])

    @property
    def releasers(self) -> tuple[str, ...]:
        """List who may release what is held, as rules name them."""
        may = (
            name
            for rule in self._rules
            if rule.others and not rule.review and matches("request.release", rule.actions)
            for name in rule.who
        )
        return tuple(dict.fromkeys(("root", *may)))

    def decide(self, who: Submitter, asked: Question) -> Answer:
        """Answer a question."""
        for ask in (self._own_release, self._own_retry):
            answer = ask(who, asked)
            if answer is not None:
                return answer
        untouchable = self._untouchable(asked)
        if untouchable is not None:
            return untouchable
        answer = ALLOWED if self.trusts(who.uid) else self._by_rules(who, asked, misfit)
        if answer.verdict != REFUSE:
            answer = self._unseen(asked) or answer
        if answer.verdict == ALLOW:
            answer = self.crowd(asked.hit, asked.known) or self._leaving(asked) or answer
        if answer.verdict == REVIEW and asked.approved:
            return ALLOWED
        return answer

    def foresee(self, who: Submitter, asked: Question) -> Answer | None:
        """Refuse what would be refused whatever the journal had; None: it has to be looked up.

        asked: what a request says by itself.
        """
        answer = self._untouchable(asked)
        if answer is None and not self.trusts(who.uid):
            answer = self._by_rules(who, asked, misfit_by_itself)
        return answer if answer is not None and answer.verdict == REFUSE else None

    def _own_release(self, who: Submitter, asked: Question) -> Answer | None:
        """Refuse a release by who asked; what one held oneself is only let go on."""
        target = asked.target
        if asked.action != "request.release" or target is None or target.held_by == who.name:
            return None
        advice = f"ask another of {', '.join(self.releasers)}"
        if target.reviewed and target.behind is None:
            why = f"the trail does not tell any more who asked for {target.id}"
            return Answer(REFUSE, why, "cancel it, and have it sent anew")
        person = self.believed(who, asked.on_behalf_of)
        names = self._releasing(who, person)
        if self._persons.same(names, target.askers):
            why = f"{target.id} is {person or who.name}'s own, and nobody releases their own"
            return Answer(REFUSE, why, advice)
        if target.reviewed and self._persons.same(names, target.before):
            why = (
                f"{person or who.name} asked for the same subject since it was last done, and "
                f"{target.id} may say that again: nobody releases their own"
            )
            return Answer(REFUSE, why, advice)
        if target.reviewed and person is None and named(self._portals, who):
            why = f"{who.name} is a portal, and names no person who releases {target.id}"
            return Answer(REFUSE, why, advice)
        return None

    def _own_retry(self, who: Submitter, asked: Question) -> Answer | None:
        """Refuse who asked to try again what another held: to cancel it does not lift a hold."""
        target = asked.target
        if asked.action != "request.retry" or target is None or target.reviewed:
            return None
        if target.held_by in (None, who.name):
            return None
        names = self._releasing(who, self.believed(who, asked.on_behalf_of))
        if not self._persons.same(names, target.askers):
            return None
        return Answer(
            REFUSE,
            f"{target.held_by} held {target.id} before it was cancelled, and nobody lets their "
            "own go on",
            f"ask {target.held_by}, or another of {', '.join(self.releasers)}, to try it again",
        )

    def _releasing(self, who: Submitter, person: str | None) -> tuple[str, ...]:
        """Name who releases. A portal's account is nobody's where it names a person."""
        if person is None:
            return persons.account(who.name, who.uid)
        if named(self._portals, who):
            return (person,)
        return (*persons.account(who.name, who.uid), person)

    def _unseen(self, asked: Question) -> Answer | None:
        """Refuse to release something else than what was looked at."""
        target = asked.target
        if asked.action != "request.release" or target is None:
            return None
        if asked.digest not in (None, target.digest):
            return Answer(
                REFUSE,
                f"what was looked at has the digest {asked.digest}, and {target.id} has "
                f"{target.digest}",
                f"`provisioner show {target.id}`, then release it with its digest",
            )
        if asked.digest is None and target.reviewed:
            return Answer(
                REFUSE,
                f"{target.id} waits for somebody to look at it, and the release has no digest to "
                "say what was looked at",
                f"`provisioner show {target.id}`, then release it with its digest",
            )
        return None

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

    def _by_rules(self, who: Submitter, asked: Question, misfit_of: Misfit) -> Answer:
        misfits: list[str] = []
        allowed: list[str] = []
        asked = replace(asked, already=asked.already - self._reach(who, asked))
        for rule in self._rules:
            if not named(rule.who, who):
                continue
            if not matches(asked.action, rule.actions):
                allowed += rule.actions
                continue
            why_not = misfit_of(rule, who, asked)
            if why_not is None:
                if not rule.review:
                    return ALLOWED
                more = f", as {misfits[0]}" if misfits else ""
                why = f"{asked.action} by {who.name} is to be reviewed{more}"
                return Answer(REVIEW, why, self._release_advice(who))
            misfits.append(why_not)
        if misfits:
            return Answer(REFUSE, misfits[0], self._refusal_advice())
        if allowed:
            may = ", ".join(dict.fromkeys(allowed))
            why = f"{who.name} may not ask for {asked.action}; they may for {may}"
            return Answer(REFUSE, why, self._refusal_advice())
        return Answer(REFUSE, f"{who.name} may not ask for anything here", self._refusal_advice())

    def _reach(self, who: Submitter, asked: Question) -> frozenset[str]:
        """Name the resources that a subject may have already: those of all of one's rules."""
        mine = [r for r in self._rules if named(r.who, who) and matches(asked.action, r.actions)]
        if any(not rule.resources and not rule.review for rule in mine):
            return asked.already
        return frozenset(name for rule in mine if not rule.review for name in rule.resources)

    def crowd(self, hit: int, known: int) -> Answer | None:
        """Say what is to be reviewed about so many losing something, of those who have anything."""
        if hit <= self._mass.users or hit * 100 <= self._mass.share * known:
            return None
        return Answer(
            REVIEW,
            f"it would take something away from {hit} of the {known} users who have anything, "
            f"more than {self._mass.share:g} %",
            self._release_advice(None),
        )

    def _leaving(self, asked: Question) -> Answer | None:
        """Say what is to be reviewed about data that would be left for another object."""
        if not asked.left:
            return None
        return Answer(
            REVIEW,
            f"it would leave {', and '.join(asked.left)}: what is in there stays there, closed",
            "the name that it had in `allocation.storage.fileset`, to keep it; or in "
            f"`allocation.storage.leaves`, to leave it; or {self._release_advice(None)}",
        )

    def _release_advice(self, who: Submitter | None) -> str:
        but = f"but not {who.name}" if who is not None else "but not by who sent it"
        if who is not None and self._releases_for_others(who):
            but = f"or by {who.name} for another person"
        return f"a release by one of {', '.join(self.releasers)}, {but}"

    def _releases_for_others(self, who: Submitter) -> bool:
        return named(self._portals, who) and any(
            named(rule.who, who) and matches("request.release", rule.actions) and not rule.review
            for rule in self._rules
        )

    def _refusal_advice(self) -> str:
        return f"ask {' or '.join(self.releasers)} to send it, or to change policy.rules"
