"""Review: collecting from the journal what policy needs to judge a request, and its answer.

Promises: everything is read inside the caller's transaction, so that the answer holds for what was
accepted before. Only what a site's policy looks at is looked up. Leaves out: the rules (`policy`),
and what follows from an answer (`acceptance`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import cast

from provisioner.contract import Claim, InvalidRequest, Key, Refused, Want, split_key
from provisioner.contract.late import without_late
from provisioner.controls import verbs
from provisioner.journal import facts
from provisioner.journal.journal import Connection
from provisioner.journal.queries import holdings, lookup
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import ledger, request_rows
from provisioner.journal.records.changes import Changes
from provisioner.objects.losses import Nature, Pair, Shift
from provisioner.objects.states import RequestState
from provisioner.plain.values import value
from provisioner.policy import policy, rules, targets
from provisioner.policy.gradual import Gradual
from provisioner.policy.hourly import Hourly
from provisioner.request import crowds
from provisioner.request.crowds import Meant
from provisioner.request.request import Request
from provisioner.routing.rendering import Step
from provisioner.system import users
from provisioner.system.ulid import RequestId
from provisioner.system.users import Submitter

Steers = Callable[[Seeker], Shift]
"""Returns the change of claims by a request that steers another one."""


@value(frozen=True, slots=True)
class Case:
    """A request to be judged.

    seen: what it does to whom as a second person has seen and released it, None if nobody has;
    counted: it is part of a request that was released as a whole; steers: None if it steers no
    other request; beside: people who lose something by other requests of the same moment;
    with_uid: the submitter with whose requests it counts together, None for its own.
    """

    id: RequestId
    uid: int
    writer: str
    request: Request
    planned: Sequence[Step]
    seen: Changes | None = None
    counted: bool = False
    steers: Steers | None = None
    beside: frozenset[str] = frozenset()
    with_uid: int | None = None

    @property
    def counts_for(self) -> int:
        """The uid of the submitter with whose requests it counts together."""
        return self.uid if self.with_uid is None else self.with_uid


@value(frozen=True, slots=True)
class Answers:
    """Who is responsible for requests before policy. The rest is as in `Case`."""

    uid: int
    writer: str
    seen: Changes | None = None
    counted: bool = False
    beside: frozenset[str] = frozenset()
    with_uid: int | None = None


AS_SERVICE = (0, "root")
"""As whose an end of access is judged: its writer may have lost any right, or have left."""


@value(frozen=True, slots=True)
class Ruling:
    """Policy's answer.

    fresh: new users, if they are counted; on_behalf_of: the person behind the writer, if that is
    believed; seeker: the writer as somebody who looks up requests, None if nothing is looked up;
    replaces: the request that it is to put right, if it names one that it may; losing: who loses
    something by it; left: data that it leaves, and for what.
    """

    answer: policy.Answer
    fresh: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    seeker: Seeker | None = None
    replaces: RequestId | None = None
    losing: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def outlines(planned: Sequence[Step]) -> dict[Pair, Want | None]:
    """Return what steps claim, each with its want as far as it is known, None for the rest."""
    return {
        (claim.key, claim.claimant): cast(Want, without_late(claim.outline))
        if claim.want is None
        else claim.want
        for step in planned
        for claim in step.claims
    }


def meant(rules: policy.Policy, submitter: Submitter, request: Request) -> Meant:
    """Return the request that counts: one of a portal goes on without protected names."""
    if not rules.spares(submitter, request.action):
        return request, ()
    return crowds.spared(request, rules.protected_among(request.users))


class Review:
    """Judges requests by one site's policy."""

    def __init__(self, site: policy.Policy, nature: Nature | None = None) -> None:
        """nature: what handlers know about their objects; None for nothing."""
        self._rules = site
        self.nature = nature or Nature()
        self.gradual = Gradual(self.nature, site.at_once)
        self._recorded = targets.Recorded()

    def judge(
        self, conn: Connection, cases: Sequence[Case], now: float, until: float = math.inf
    ) -> dict[RequestId, Ruling]:
        """Judge the requests of a wave; none of them depends on what another one writes.

        until: monotonic time after which no more are judged, but the first: each looks at all
        claims on what it shares with others.
        """
        changes = _Changes(conn, cases, self.protects)
        hourly = Hourly(conn, now)
        rulings: dict[RequestId, Ruling] = {}
        for case in cases:
            if rulings and time.monotonic() >= until:
                break
            question = rules.question(
                case.request, (claim.key for step in case.planned for claim in step.claims)
            )
            submitter = Submitter(case.uid, case.writer)
            if not self._rules.trusts(submitter.uid):
                submitter = replace(users.find(submitter.uid), writer=case.writer)
            others = self._rules.steers_others(submitter, case.request.action)
            seeker = Seeker(case.uid, case.writer, others, case.id)
            step = self.gradual.step(case.uid, now)
            losers = changes.losers(case, seeker, step.nature)
            hit = set() if case.counted else losers
            crowd = hit | case.beside | self.gradual.lately(case.counts_for, now) if hit else hit
            left = self._left(case, changes)
            approved = _approved(case.seen, losers, left, few=len(crowd) <= self._rules.harmless)
            if crowd or left or approved:
                question = replace(question, approved=approved, hit=len(crowd), left=left)
            if len(crowd) > self._rules.harmless:
                question = replace(question, known=len(holdings.people(conn) | crowd))
            if not self._rules.trusts(submitter.uid):
                question = self._ask_more(conn, case, question, hourly)
            if case.request.action.startswith("request."):
                question = replace(question, target=targets.named(conn, case.request, seeker))
            answer = self._rules.decide(submitter, question)
            replaces = None
            if case.request.replaces is not None and answer.verdict != policy.REFUSE:
                replaces, answer = self._replaced(conn, case, submitter, answer)
            if answer.verdict == policy.ALLOW:
                changes.allow(case)
                trusted = self._rules.trusts(case.uid)
                seen = approved or case.counted or trusted
                self.gradual.allow(conn, case.uid, step, seen=seen)
            if answer.verdict != policy.REFUSE:
                hourly.count(case.uid)
            if question.fresh and answer.verdict == policy.ALLOW:
                hourly.allow(submitter.uid, case.request, question.fresh)
            counts = hit and not approved and not self._rules.trusts(case.counts_for)
            if counts and answer.verdict == policy.ALLOW:
                self.gradual.shut(conn, case.counts_for, hit, now)
            person = self._rules.believed(submitter, question.on_behalf_of)
            rulings[case.id] = Ruling(
                answer, question.fresh, person, seeker, replaces, tuple(losers), left
            )
        return rulings

    def _replaced(
        self, conn: Connection, case: Case, submitter: Submitter, answer: policy.Answer
    ) -> tuple[RequestId | None, policy.Answer]:
        """Return the request that another one replaces, and policy's answer with regard to that.

        It is looked up as the target of a retry is. Once it was, it counts, whatever became of it.
        """
        recorded = request_rows.load(conn, [case.id]).get(case.id)
        if recorded is not None:
            return recorded.replaces, answer
        others = self._rules.steers_others(submitter, "request.retry")
        try:
            name = case.request.replaces or ""
            record = lookup.find(conn, name, Seeker(case.uid, case.writer, others, case.id))
        except InvalidRequest as wrong:
            return None, policy.Answer(policy.REFUSE, f"replaces: {wrong.message}", wrong.expected)
        if record.state not in (RequestState.FAILED, RequestState.REFUSED):
            why = f"replaces: {record.id} is {record.state}: only what failed or was refused can be"
            return None, policy.Answer(policy.REFUSE, f"{why} replaced", "no `replaces`")
        return record.id, answer

    def _left(self, case: Case, changes: _Changes) -> tuple[str, ...]:
        """Return the data that a request would leave, except what it says it leaves."""
        storage = (case.request.values.get("allocation") or {}).get("storage") or {}
        leaves = str(storage.get("leaves") or "").lower()
        return tuple(
            f"{old} for {new}"
            for old, new in changes.left(case).items()
            if self.nature.stores(old) and split_key(old)[-1].lower() != leaves
        )

    def foresee(self, uid: int, writer: str, request: Request) -> Ruling | None:
        """Return a refusal that needs nothing from the journal; None if there is none.

        uid, writer: who asks. Nothing is looked up, so the answer reveals nothing.
        """
        if not self._rules.trusts(uid) and not users.is_called(uid, writer):
            # Somebody else may have the uid, and other rights with it.
            why = f"{writer} asked for it, and has no longer, or not on this host, uid {uid}"
            advice = "a new request, of somebody who may ask for it now"
            return Ruling(policy.Answer(policy.REFUSE, why, advice))
        submitter = Submitter(uid, writer) if self._rules.trusts(uid) else users.find(uid)
        answer = self._rules.foresee(submitter, rules.question(request))
        if answer is None:
            return None
        return Ruling(answer, (), self._rules.believed(submitter, request.on_behalf_of))

    def meant(self, uid: int, writer: str, request: Request) -> Meant:
        """Return the request that counts, as `meant` above. uid, writer: who asks."""
        submitter = Submitter(uid, writer) if self._rules.trusts(uid) else users.find(uid)
        return meant(self._rules, submitter, request)

    def rights(self, uid: int, writer: str) -> bytes:
        """Return a digest of a writer's rights now.

        While it is the same, `foresee` and `meant` answer the same for the same request.
        """
        known: tuple[object, ...] = (uid, writer, "trusted")
        if not self._rules.trusts(uid):
            user = users.find(uid)
            known = (uid, writer, users.is_called(uid, writer), user.name, sorted(user.groups))
        return blake2b(repr(known).encode(), digest_size=16).digest()

    def trusts(self, uid: int) -> bool:
        """Return True if a user needs no rule."""
        return self._rules.trusts(uid)

    def steers_others(self, uid: int, writer: str, action: str) -> bool:
        """Return True if a writer may use an action on others' subjects, and know of them."""
        return self._rules.steers_others(replace(users.find(uid), writer=writer), action)

    def is_outsider(self, uid: int) -> bool:
        """Return True if a user may ask for nothing at all."""
        return not self._rules.trusts(uid) and self._rules.is_outsider(users.find(uid))

    def protects(self, pair: Pair) -> bool:
        """Return True if no request may take a claim away, because of a name in it."""
        key, claimant = pair
        people = [part.removeprefix("user:") for part in claimant.split("/")[1:]]
        return self._rules.protects(key) or bool(self._rules.protected_among(people))

    def check_objects(self, keys: Iterable[Key]) -> None:
        """Raise Refused if an object has a name that no request may touch."""
        for key in keys:
            if self._rules.protects(key):
                raise Refused(f"{key} is protected", advice="leave it out")

    def crowd(self, conn: Connection, losers: Collection[str]) -> policy.Answer | None:
        """Return the review that is needed if some people lose something; None if none is."""
        if len(losers) <= self._rules.harmless:
            return None
        return self._rules.crowd(len(losers), len(holdings.people(conn).union(losers)))

    def _ask_more(
        self,
        conn: Connection,
        case: Case,
        question: rules.Question,
        hourly: Hourly,
    ) -> rules.Question:
        """Add what only some rules need, because it has to be looked up in the journal."""
        if self._rules.knows_subjects:
            question = self._recorded.with_subject(conn, case.writer, case.request, question)
        if self._rules.counts_new_users and case.request.action not in verbs.VERBS:
            fresh, recent = hourly.newcomers(case.uid, case.request)
            question = replace(question, fresh=fresh, recent=recent)
        if self._rules.counts_requests:
            question = replace(question, lately=hourly.requests(case.uid, case.id))
        return question


class _Changes:
    """What the requests of a wave would take away, before any of it is written."""

    def __init__(
        self, conn: Connection, cases: Sequence[Case], protects: Callable[[Pair], bool]
    ) -> None:
        self._conn = conn
        self._protects = protects
        self._before = ledger.claimed(
            conn, {c.request.subject for c in cases if c.request.action in targets.CLAIMING}
        )
        self._taken: set[Pair] = set()
        self._given: dict[Pair, Want | None] = {}
        self._shifts: dict[str, Shift] = {}
        self._claims: dict[Key, tuple[Claim, ...] | None] = {}

    def losers(self, case: Case, seeker: Seeker, nature: Nature) -> set[str]:
        """Return the people who lose something by a request, after those allowed before it."""
        if case.request.action == "journal.release":
            why = facts.get(self._conn, facts.OBSERVING)
            return holdings.unwritten(self._conn) if why not in (None, facts.CONFIGURED) else set()
        if case.request.action == "reconcile":
            return holdings.closing(self._conn, case.request.values["objects"])
        shift = self._shifts[case.id] = self._of(case, seeker)
        allowed = Shift(self._taken, self._given)
        return holdings.losers(self._conn, shift, allowed, nature, self._claims_of)

    def _claims_of(self, keys: Collection[Key]) -> dict[Key, tuple[Claim, ...]]:
        """Return the claims on objects, which nothing of the wave has changed yet.

        They are read once: many of the requests of a wave can be of one project with many claims.
        """
        unread = [key for key in keys if key not in self._claims]
        found = ledger.claims_of(self._conn, unread)
        self._claims.update({key: found.get(key) for key in unread})
        return {key: claims for key in keys if (claims := self._claims[key]) is not None}

    def left(self, case: Case) -> dict[Key, Key]:
        """Return the objects that a request leaves for others; see `holdings.left`.

        Call it after `losers`.
        """
        if case.request.action not in targets.CLAIMING:
            return {}
        shift = self._shifts[case.id]
        if not shift.going or not shift.coming:
            return {}
        return holdings.left(self._conn, shift.going, shift.coming.keys())

    def allow(self, case: Case) -> None:
        """Count what a request takes away or changes as done."""
        shift = self._shifts.get(case.id, Shift())
        self._taken |= shift.going
        self._given.update(shift.coming)

    def _of(self, case: Case, seeker: Seeker) -> Shift:
        """Return which claims go or are closed, and which come or stay."""
        if case.steers is not None:
            return case.steers(seeker)
        subject = case.request.subject
        if case.request.action in targets.CLOSING:
            return Shift(holdings.claimed(self._conn, [subject]))
        if case.request.action not in targets.CLAIMING:
            return Shift()
        return self._stated(case)

    def _stated(self, case: Case) -> Shift:
        """Return the change of claims by a request that states what its subject claims."""
        coming = outlines(case.planned)
        left_out = self._before[case.request.subject] - coming.keys()
        return Shift({pair for pair in left_out if not self._protects(pair)}, coming)


def _approved(
    seen: Changes | None, losers: Collection[str], left: Collection[str], *, few: bool
) -> bool:
    """Return True if a second person has seen what a request does. few: no crowd loses by it."""
    if seen is None or not set(left) <= set(seen.left):
        return False
    return few or set(losers) <= set(seen.people)
