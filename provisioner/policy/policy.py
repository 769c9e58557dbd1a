"""Policy: who may ask for what, and what a second person has to see first.

Promises: pure. A question has one answer, the same in the service and in `provisioner check`. The
owner of the request's file is the one who asks; the person behind a portal is believed only from
portals that the policy names. People do not release what they asked for, by any account or portal,
and nobody releases what they did not look at. What no rule allows is refused, with the reason and
with what to do. Leaves out: collecting what a question needs (`users`, `review`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from provisioner.config.policy import PolicyConfig, RuleConfig
from provisioner.contract import Key, split_key
from provisioner.journal.records.request_rows import asker
from provisioner.policy import persons
from provisioner.policy.protected import SYSTEM_ACCOUNTS, SYSTEM_GROUPS, SYSTEM_USERS, Names
from provisioner.policy.rules import Misfit, Question, matches, misfit, misfit_by_itself, named
from provisioner.system.users import Submitter

ALLOW: Literal["allow"] = "allow"
REVIEW: Literal["review"] = "review"
REFUSE: Literal["refuse"] = "refuse"

_STAGING_GROUP = ("user.*", "project.*", "allocation.*", "membership.*", "reconcile", "adopt")
"""What members of the staging group may ask for if there are no rules, about any subject."""

_OF_MANY = ("allocation.provision", "project.provision")
"""Actions whose user lists other people have filled."""

_OWN_REQUESTS = ("request.retry", "request.hold", "request.cancel", "request.dismiss")
"""What they may do with their own requests."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of policy. why: for the person who asked; advice: what to do about it."""

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
        most_repaired: int | None = None,
    ) -> None:
        """service_uid: the user of the service, who is trusted like root and can write the journal
        anyway; realms: domains whose NAME@REALM is this site's NAME; most_repaired: how many people
        may lose something by one repair of drift, None for any number.
        """
        self._most_repaired = most_repaired
        self._trusted = {0, service_uid}
        self._mass = config.mass
        self._portals = config.portals
        self._by_name = config.by_name
        self._persons = persons.Persons(config.persons, realms)
        rules = config.rules
        if rules is None:
            group = (f"@{staging_group}",) if staging_group else ()
            rules = (
                RuleConfig(
                    who=group, actions=_STAGING_GROUP, adopt=True, numbers=True, others=True
                ),
                RuleConfig(who=group, actions=_OWN_REQUESTS),
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
        self.counts_requests = any(rule.hourly is not None for rule in rules)
        self.knows_subjects = any(
            rule.resources or rule.projects or rule.accounts or not rule.others for rule in rules
        )

    @property
    def harmless(self) -> int:
        """How many people may lose something at once, whatever share they are."""
        return self._mass.users

    @property
    def at_once(self) -> float:
        """The seconds for which one submitter's requests count together."""
        return self._mass.minutes * 60

    def trusts(self, uid: int) -> bool:
        """Return True if a user needs no rule: root, and the user of the service."""
        return uid in self._trusted

    def goes_by_name(self, uid: int, name: str) -> bool:
        """Return True if an account is the same writer, whatever uid it has."""
        services = self.trusts(uid) or name in self._portals
        return services or matches(name, self._by_name)

    def is_outsider(self, submitter: Submitter) -> bool:
        """Return True if a submitter may ask for nothing at all: not trusted, and in no rule."""
        return not (
            self.trusts(submitter.uid) or any(named(rule.who, submitter) for rule in self._rules)
        )

    def believed(self, submitter: Submitter, person: str | None) -> str | None:
        """Return the person for whom a submitter claims to ask; None if that is not believed."""
        return person if self.trusts(submitter.uid) or named(self._portals, submitter) else None

    def steers_others(self, submitter: Submitter, action: str) -> bool:
        """Return True if a submitter may use an action on others' subjects, and know of them."""
        return self.trusts(submitter.uid) or any(
            rule.others and named(rule.who, submitter) and matches(action, rule.actions)
            for rule in self._rules
        )

    def protects(self, key: Key) -> bool:
        """Return True if an object has a name that no request may touch."""
        protected = self._protected["object"]
        return any(name.casefold() in protected for name in split_key(key)[2:])

    def spares(self, submitter: Submitter, action: str) -> bool:
        """Return True if a request goes on without users who may not have what it asks for.

        A portal lists the users whom its people added: one bad name must not affect the others.
        """
        return action in _OF_MANY and named(self._portals, submitter)

    def protected_among(self, users: Sequence[str]) -> tuple[str, ...]:
        """Return those of some users whose names are protected."""
        return tuple(name for name in users if name.casefold() in self._protected["object"])

    @property
    def releasers(self) -> tuple[str, ...]:
        """Who may release held requests, as rules name them."""
        may = (
            name
            for rule in self._rules
            if rule.others and not rule.review and matches("request.release", rule.actions)
            for name in rule.who
        )
        return tuple(dict.fromkeys(("root", *may)))

    def decide(self, submitter: Submitter, question: Question) -> Answer:
        """Return the answer to a question."""
        for ask in (self._own_release, self._own_retry):
            answer = ask(submitter, question)
            if answer is not None:
                return answer
        untouchable = self._untouchable(question)
        if untouchable is not None:
            return untouchable
        answer = (
            ALLOWED if self.trusts(submitter.uid) else self._by_rules(submitter, question, misfit)
        )
        if answer.verdict != REFUSE:
            answer = self._unseen(question) or answer
        if answer.verdict == ALLOW:
            answer = (
                (self.repair if question.action == "reconcile" else self.crowd)(
                    question.hit, question.known
                )
                or self._leaving(question)
                or answer
            )
        if answer.verdict == REVIEW and question.approved:
            return ALLOWED
        return answer

    def foresee(self, submitter: Submitter, question: Question) -> Answer | None:
        """Return a refusal that needs nothing from the journal; None if there is none.

        question: what the request itself says.
        """
        answer = self._untouchable(question)
        if answer is None and not self.trusts(submitter.uid):
            answer = self._by_rules(submitter, question, misfit_by_itself)
        return answer if answer is not None and answer.verdict == REFUSE else None

    def _own_release(self, submitter: Submitter, question: Question) -> Answer | None:
        """Refuse a release by a person who asked; a hold of one's own may be released."""
        target = question.target
        if (
            question.action != "request.release"
            or target is None
            or not target.held  # the verb says so
            or target.held_by == self._asker(submitter, question)
        ):
            return None
        advice = f"ask another of {', '.join(self.releasers)}"
        if target.reviewed and target.behind is None:
            why = f"the audit trail no longer tells who asked for {target.id}"
            return Answer(REFUSE, why, "cancel it, and have it sent again")
        person = self.believed(submitter, question.on_behalf_of)
        names = self._releasing(submitter, person)
        if self._persons.same(names, target.askers):
            why = f"{target.id} is {person or submitter.name}'s own, and nobody releases their own"
            return Answer(REFUSE, why, advice)
        if self._persons.same(names, target.before):
            why = (
                f"{person or submitter.name} asked for the same subject since it was last done, "
                f"and {target.id} may repeat that: nobody releases their own"
            )
            return Answer(REFUSE, why, advice)
        if target.reviewed and person is None and named(self._portals, submitter):
            why = f"{submitter.name} is a portal, and names no person who releases {target.id}"
            return Answer(REFUSE, why, advice)
        return None

    def _own_retry(self, submitter: Submitter, question: Question) -> Answer | None:
        """Refuse askers to retry what another held: cancelling it does not lift the hold."""
        target = question.target
        if question.action != "request.retry" or target is None:
            return None
        if target.reviewed and target.stopped is None:
            return None
        if target.held_by in (None, self._asker(submitter, question)):
            return None
        names = self._releasing(submitter, self.believed(submitter, question.on_behalf_of))
        if not self._persons.same(names, target.askers):
            return None
        what = f"{target.id} before it was cancelled"
        if target.stopped is not None:
            what = f"{target.stopped}, which asks for the same subject"
        return Answer(
            REFUSE,
            f"{target.held_by} held {what}, and nobody may continue their own held request",
            f"ask {target.held_by}, or another of {', '.join(self.releasers)}, to try it again",
        )

    def _asker(self, submitter: Submitter, question: Question) -> str:
        """Return who asks as a hold notes it: a portal holds for many persons."""
        return asker(submitter.own, self.believed(submitter, question.on_behalf_of))

    def _releasing(self, submitter: Submitter, person: str | None) -> tuple[str, ...]:
        """Return the names of who releases. A portal that names a person acts as that person."""
        if person is None:
            return persons.account(submitter.name, submitter.uid)
        if named(self._portals, submitter):
            return (person,)
        return (*persons.account(submitter.name, submitter.uid), person)

    def _unseen(self, question: Question) -> Answer | None:
        """Refuse to release something other than what was looked at."""
        target = question.target
        if question.action != "request.release" or target is None or not target.held:
            return None
        if question.digest not in (None, target.digest):
            return Answer(
                REFUSE,
                f"the release is for the digest {question.digest}, but {target.id} has "
                f"{target.digest}",
                f"`provisioner show {target.id}`, then release it with its digest",
            )
        if question.digest is None and target.reviewed:
            return Answer(
                REFUSE,
                f"{target.id} must be reviewed, but the release has no digest to say what was "
                "reviewed",
                f"`provisioner show {target.id}`, then release it with its digest",
            )
        return None

    def _untouchable(self, question: Question) -> Answer | None:
        for kind, names in (question.names or {}).items():
            protected = self._protected[kind]
            for name in names:
                if name.casefold() in protected:
                    return Answer(
                        REFUSE,
                        f"{name} is protected: no request may touch it",
                        "see policy.protected in the configuration; system names stay protected",
                    )
        return None

    def _by_rules(self, submitter: Submitter, question: Question, misfit_of: Misfit) -> Answer:
        misfits: list[str] = []
        allowed: list[str] = []
        if question.already:
            beyond = question.already - self._reach(submitter, question)
            question = replace(question, already=beyond)
        for rule in self._rules:
            if not named(rule.who, submitter):
                continue
            if not matches(question.action, rule.actions):
                allowed += rule.actions
                continue
            why_not = misfit_of(rule, submitter, question)
            if why_not is None:
                if not rule.review:
                    return ALLOWED
                more = f", because {misfits[0]}" if misfits else ""
                why = f"{question.action} by {submitter.name} must be reviewed{more}"
                return Answer(REVIEW, why, self._release_advice(submitter))
            misfits.append(why_not)
        if misfits:
            return Answer(REFUSE, misfits[0], self._refusal_advice())
        if allowed:
            may = ", ".join(dict.fromkeys(allowed))
            why = f"{submitter.name} may not ask for {question.action}; they may ask for {may}"
            return Answer(REFUSE, why, self._refusal_advice())
        return Answer(
            REFUSE, f"{submitter.name} may not ask for anything here", self._refusal_advice()
        )

    def _reach(self, submitter: Submitter, question: Question) -> frozenset[str]:
        """Return the resources that a subject may already have: those of all matching rules."""
        mine = [
            r
            for r in self._rules
            if named(r.who, submitter) and matches(question.action, r.actions)
        ]
        if any(not rule.resources and not rule.review for rule in mine):
            return question.already
        return frozenset(name for rule in mine if not rule.review for name in rule.resources)

    def crowd(self, hit: int, known: int) -> Answer | None:
        """Return the review that is needed if `hit` of the `known` people lose something."""
        if hit <= self._mass.users or hit * 100 <= self._mass.share * known:
            return None
        return Answer(
            REVIEW,
            # Without how many these are: that is not every writer's to know.
            f"it would take something away from {hit} users, more than {self._mass.share:g} % of "
            "those who have anything",
            self._release_advice(None),
        )

    def repair(self, hit: int, known: int) -> Answer | None:
        """Return the review that is needed if a repair of drift takes something from `hit` of the
        `known` people."""
        most = self._most_repaired
        if most is None or hit <= most:
            return self.crowd(hit, known)
        people = "1 person" if hit == 1 else f"{hit} people"
        return Answer(
            REVIEW,
            f"it would close or remove what {people} can use now, and `drift.most_removed` is "
            f"{most}",
            self._release_advice(None),
        )

    def _leaving(self, question: Question) -> Answer | None:
        """Return the review that is needed if data would be left for another object."""
        if not question.left:
            return None
        return Answer(
            REVIEW,
            f"it would leave {', and '.join(question.left)}: no data is moved, it stays there, "
            "closed",
            "put its earlier name into `allocation.storage.fileset` to keep it, or into "
            f"`allocation.storage.leaves` to leave it; or get {self._release_advice(None)}",
        )

    def _release_advice(self, submitter: Submitter | None) -> str:
        but = (
            f"but not by {submitter.name}"
            if submitter is not None
            else "but not by the person who sent it"
        )
        if submitter is not None and self._releases_for_others(submitter):
            but = f"or by {submitter.name} for another person"
        return f"a release by one of {', '.join(self.releasers)}, {but}"

    def _releases_for_others(self, submitter: Submitter) -> bool:
        return named(self._portals, submitter) and any(
            named(rule.who, submitter)
            and matches("request.release", rule.actions)
            and not rule.review
            for rule in self._rules
        )

    def _refusal_advice(self) -> str:
        return f"ask {' or '.join(self.releasers)} to send it, or to change policy.rules"
