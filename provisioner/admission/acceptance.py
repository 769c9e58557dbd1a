"""Acceptance: all that is written of some requests in one transaction.

Promises: each request is held against what was accepted before it, policy, its order and its time;
bytes, steps, claims, due objects and events are written by one commit, or none of them. What a
person's verb lets come again is judged after the verb, in the same transaction. What is left to do
outside the journal is a list (`after_commit`). Leaves out: reading files (`reading`), committing
(`intake`, and for manifests `following`), and what a verb does (`verbs`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.admission import duplicates
from provisioner.admission.admission import ALARM, Judged, noted, row, ruled, told_of
from provisioner.admission.after_commit import AfterCommit, Tally, after_commit
from provisioner.admission.candidates import Candidate, plain_problems, problem_of, waves
from provisioner.admission.reading import Reader
from provisioner.contract import Fault
from provisioner.controls.verbs import VERBS, Command, Effect
from provisioner.journal import audit
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import (
    companion_rows,
    ledger,
    object_rows,
    request_rows,
    step_moves,
    step_rows,
)
from provisioner.objects.states import OPEN, RequestState
from provisioner.outcome.outsiders import shortened
from provisioner.outcome.refusals import Refusals
from provisioner.policy import rehearsal
from provisioner.policy.review import Answers, Case, Review, Ruling, Steers
from provisioner.request.documents import Problem
from provisioner.request.request import Request
from provisioner.steps import disputes, steps
from provisioner.steps.advance import advance
from provisioner.steps.binding import Progress

log = logging.getLogger(__name__)

_AGAIN = (*OPEN, RequestState.FAILED, RequestState.CANCELLED)
"""States from which a request is judged again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every acceptance of one service goes by.

    refusals: says which refusals are told by an event; lanes: lane of each instance; has_file: says
    whether a refused request's file can go through staging again.
    """

    book: Journal
    reader: Reader
    review: Review
    refusals: Refusals
    progress: Progress
    lanes: Mapping[str, str]
    has_file: Callable[[request_rows.Record], bool]


@dataclass(frozen=True, slots=True)
class Admitted:
    """What was committed. taken: requests that came; accepted: those of them that begin now.

    left: what is to be done outside the journal, in this order.
    """

    taken: tuple[str, ...]
    accepted: tuple[str, ...]
    left: tuple[AfterCommit, ...]


class Acceptance:
    """One transaction in which requests are accepted or refused."""

    def __init__(self, conn: Connection, now: float, terms: Terms) -> None:
        """conn: of the transaction; now: its time, seconds since the epoch."""
        self.conn = conn
        self.now = now
        self._terms = terms
        self._tally = Tally()
        self._again: deque[str] = deque()

    @property
    def accepted(self) -> tuple[str, ...]:
        """List the requests that came and begin now, so far."""
        return tuple(self._tally.accepted)

    def admit(self, candidates: Sequence[Candidate], answers: Answers | None = None) -> None:
        """Accept or refuse requests that come now, each by itself.

        answers: who answers for all of them before policy; None: each one's writer.
        """
        for wave in waves(candidates):
            self._admit_wave(wave, answers)
            self._readmit_those_left()

    def readmit(self, ids: Iterable[str]) -> None:
        """Judge and accept again scheduled requests whose time has come."""
        for request_id in ids:
            for record in request_rows.load(self.conn, [request_id]).values():
                # One before it may have cancelled or held it.
                if record.state == RequestState.SCHEDULED:
                    self._readmit(record)
            self._readmit_those_left()

    def conclude(self, candidate: Candidate, effect: Effect) -> None:
        """End the acceptance of a request whose manifest was followed."""
        self._note(candidate.submission.ulid, effect)
        self._begin_verb(candidate, effect)

    def end(self, outcomes: Mapping[str, RequestState]) -> None:
        """Have it told that requests are over, whose outcomes are written."""
        self._tally.outcomes.update(outcomes)

    def hold(self, request_id: str) -> None:
        """Have it told that a request is held, which is written."""
        self._tally.effects.append(Effect(held=[request_id]))

    def admitted(self, candidates: Sequence[Candidate] = ()) -> Admitted:
        """Say what came of it. candidates: those that were admitted, with the files beside them."""
        senders = {c.submission.ulid: c.submission.uid for c in candidates}
        beside = [file for c in candidates for file in (c.companion, c.signature)]
        companions = [file for file in beside if file is not None]
        left = after_commit(self._tally, senders, companions)
        return Admitted(tuple(senders), self.accepted, tuple(left))

    # Judging.

    def _admit_wave(self, wave: Sequence[Candidate], answers: Answers | None) -> None:
        """Judge and write requests of which none reads what another writes."""
        judged = self._judge(wave, answers)
        rows = []
        for one in judged:
            made = row(one, self.now)
            outsider = self._terms.review.is_outsider
            if one.state == RequestState.REFUSED and outsider(one.candidate.submission.uid):
                made = shortened(made)
            rows.append(made)
            self._keep_manifest(one)
            if one.state == RequestState.ACCEPTED:
                self._tally.accepted.append(one.id)
            elif one.state == RequestState.SCHEDULED:
                self._tally.scheduled.append(one.id)
            else:
                self._tally.outcomes[one.id] = one.state
        request_rows.insert_requests(self.conn, rows)
        quiet, told = self._terms.refusals.judge(rows, self.now)
        heard = [(one, made) for one, made in zip(judged, rows, strict=True) if one.id not in quiet]
        told += [told_of(one.candidate, made) for one, made in heard]
        for one, _ in heard:
            told += self._ruled(one)
        self._accept([one for one in judged if one.state == RequestState.ACCEPTED], told)

    def _readmit_those_left(self) -> None:
        """Judge again what a verb let come again, and what that lets come."""
        while self._again:
            for record in request_rows.load(self.conn, [self._again.popleft()]).values():
                self._readmit(record)

    def _readmit(self, record: request_rows.Record) -> None:
        """Judge a recorded request as if it came now."""
        candidate = self._terms.reader.again(self.conn, record)
        answers = Answers(record.uid, record.writer, record.approved_by is not None)
        [judged] = self._judge([candidate], answers, besides=record.id)
        self._tally.readmitted.append(record.id)
        request_rows.set_state(self.conn, [record.id], _AGAIN, judged.state)
        request_rows.set_problems(self.conn, record.id, plain_problems(noted(judged)))
        request_rows.set_duplicate_of(self.conn, record.id, judged.verdict.duplicate_of)
        self._keep_manifest(judged)
        if judged.state == RequestState.ACCEPTED:
            request_rows.set_accepted(self.conn, record.id, self.now)
            self._accept([judged], ())
        elif judged.state not in OPEN:
            self._tally.outcomes[record.id] = judged.state
            companion_rows.drop_companion(self.conn, record.id)
            why = "; ".join(problem.message for problem in judged.verdict.problems)
            request_rows.end_requests(self.conn, {record.id: judged.state}, self.now, text=why)
        audit.append(self.conn, self._ruled(judged), self.now)

    def _judge(
        self, wave: Sequence[Candidate], answers: Answers | None, besides: str = ""
    ) -> list[Judged]:
        """Say what becomes of requests. besides: the one of them that was recorded before."""
        history = duplicates.look_up(self.conn, wave, besides)
        rulings = self._rule(wave, answers)
        judged = []
        for candidate in wave:
            ruling = rulings.get(candidate.submission.ulid)
            verdict = duplicates.verdict(candidate, history, ruling, self.now)
            judged.append(Judged(candidate, verdict, ruling))
        return judged

    def _rule(self, wave: Sequence[Candidate], answers: Answers | None) -> dict[str, Ruling]:
        """Ask policy about the requests that are right by themselves."""
        cases = []
        foreseen = {c.submission.ulid: c.forbidden for c in wave if c.forbidden is not None}
        for c in wave:
            if c.request is not None and not c.problems and c.forbidden is None:
                who = answers or Answers(c.submission.uid, c.submission.writer, approved=False)
                asked = (c.request, c.planned, who.approved, who.counted)
                steers = self._steers(c)
                cases.append(Case(c.submission.ulid, who.uid, who.writer, *asked, steers))
        return {**foreseen, **self._terms.review.judge(self.conn, cases, self.now)}

    def _steers(self, candidate: Candidate) -> Steers | None:
        """Rehearse what steers another request, when it is asked what that does."""
        request = candidate.request
        if request is None or request.action not in rehearsal.CHANGING:
            return None
        return lambda seeker: rehearsal.changed(
            self._terms.book, self.conn, self._asked(candidate, request, seeker)
        )

    def _ruled(self, judged: Judged) -> list[audit.Event]:
        """Hold what policy holds; return what is told of its answer."""
        if judged.ruling is not None and judged.state == RequestState.HELD:
            request_rows.hold_for_review(self.conn, judged.id)
        told, submission = ruled(judged), judged.candidate.submission
        for event in told:
            if event.kind == ALARM:
                log.warning(
                    "ALARM policy: %s of %s: %s", submission.name, submission.writer, event.text
                )
        return told

    # Writing.

    def _keep_manifest(self, judged: Judged) -> None:
        """Keep the manifest of a request that is not over."""
        if judged.candidate.manifest is not None and judged.state in OPEN:
            companion_rows.keep_companion(self.conn, judged.id, judged.candidate.manifest)

    def _accept(self, judged: Sequence[Judged], told: Sequence[audit.Event]) -> None:
        """Write claims, steps and due objects of requests; run a verb, which comes alone.

        told: events that are not written yet, and come before all that happens here.
        """
        verbs = [one for one in judged if _action(one.candidate) in VERBS]
        if not verbs:
            self._provide([one.candidate for one in judged], told)
            return
        audit.append(self.conn, told, self.now)
        for one in verbs:
            self._control(one)

    def _provide(self, wave: Sequence[Candidate], told: Sequence[audit.Event]) -> None:
        """Begin requests that claim objects."""
        progress = self._terms.progress
        new_steps: list[dict[str, Any]] = []
        new_objects: list[dict[str, Any]] = []
        gone = self._claim(wave) if wave else {}
        disputes.note(self.conn, {c.submission.ulid: c.shared for c in wave}, progress)
        for candidate in wave:
            assert candidate.request is not None
            request_id, request = candidate.submission.ulid, candidate.request
            some_steps, some_objects = steps.rows_of(request_id, candidate.planned)
            new_steps += some_steps
            new_objects += some_objects
            if request_id in gone:
                left = gone[request_id], len(some_steps)
                more = steps.rows_of_keys(request_id, request.subject, *left, withdraws=True)
                new_steps += more[0]
                new_objects += more[1]
            if any(steps.waits(step) for step in candidate.planned):
                progress.remember(request_id, request)
        self._begin(new_steps, new_objects, told)
        # Steps without objects, and requests without steps, are over as soon as they begin.
        empty = [c.submission.ulid for c in wave if not any(s.claims for s in c.planned)]
        hollow = [c.submission.ulid for c in wave if any(not s.claims for s in c.planned)]
        step_moves.close_hollow(self.conn, hollow, self.now)
        self._advance([*empty, *hollow])

    def _claim(self, wave: Sequence[Candidate]) -> dict[str, dict[str, str]]:
        """Replace the claims of each subject by those of its newest request.

        Return, for each request that leaves something out that was claimed before, those objects
        with their instances.
        """
        subjects = {c.request.subject for c in wave if c.request is not None}
        before = ledger.claimed(self.conn, subjects)
        entries: list[ledger.Entry] = []
        owner: dict[str, tuple[str, str]] = {}
        gone: dict[str, dict[str, str]] = {}
        for candidate in wave:
            assert candidate.request is not None
            held = before[candidate.request.subject]
            for step in candidate.planned:
                ready = not steps.waits(step)
                for claim in step.claims:
                    want = claim.want if ready else None
                    entries.append(ledger.Entry(claim.key, claim.claimant, step.instance, want))
                    owner[claim.claimant] = (candidate.submission.ulid, candidate.submission.writer)
                    held.discard((claim.key, claim.claimant))
            if held:
                keys = ledger.withdraw(self.conn, held, self.now)
                gone[candidate.submission.ulid] = object_rows.instances_of(self.conn, keys)
        ledger.claim(self.conn, entries, self._terms.lanes, owner, self.now)
        told = {c.submission.ulid for c in wave if c.request is not None and c.request.adopt}
        if told:
            adopted = {e.key for e in entries if owner[e.claimant][0] in told}
            object_rows.set_adoption(self.conn, adopted, None)
        return gone

    def _control(self, judged: Judged) -> None:
        """Run a verb; what it lets come again is judged later."""
        assert judged.candidate.request is not None and judged.ruling is not None
        candidate, request, seeker = (
            judged.candidate,
            judged.candidate.request,
            judged.ruling.seeker,
        )
        assert seeker is not None
        if request.values.get("manifest"):
            self._tally.manifests[judged.id] = candidate.submission.uid
            return
        person = None
        if request.on_behalf_of is not None:
            person = request_rows.load(self.conn, [judged.id])[judged.id].on_behalf_of
        try:
            effect = VERBS[request.action](
                self.conn, self._asked(candidate, request, seeker, person)
            )
        except Fault as fault:
            self._fail(judged.id, request, fault)
            return
        self._tally.effects.append(effect)
        if judged.id in effect.held:
            return
        if effect.notes:
            self._note(judged.id, effect)
        self._tally.outcomes.update(effect.ended)
        self._again.extend(effect.readmitted)
        self._begin_verb(candidate, effect)

    def _asked(
        self, candidate: Candidate, request: Request, seeker: Seeker, by: str | None = None
    ) -> Command:
        """Say who asks for what, when. by: the person for whom, where that was believed."""
        submission, terms = candidate.submission, self._terms
        who = (submission.ulid, submission.writer, request, self.now)
        return Command(*who, terms.lanes, terms.progress, seeker, terms.has_file, by)

    def _fail(self, request_id: str, request: Request, fault: Fault) -> None:
        """Write that a verb could not be done."""
        problems = plain_problems((request.placed(problem_of(fault)),))
        outcome = {request_id: RequestState.FAILED}
        request_rows.set_problems(self.conn, request_id, problems)
        request_rows.end_requests(self.conn, outcome, self.now, text=fault.message)
        self._tally.outcomes.update(outcome)

    def _note(self, request_id: str, effect: Effect) -> None:
        """Write what the writer of a verb should know."""
        notes = tuple(Problem(None, "", text) for text in effect.notes)
        request_rows.set_problems(self.conn, request_id, plain_problems(notes))

    def _begin_verb(self, candidate: Candidate, effect: Effect) -> None:
        """Have a verb wait for what it touched; one that touched nothing is over."""
        assert candidate.request is not None
        request_id, subject = candidate.submission.ulid, candidate.request.subject
        self._begin(*steps.rows_of_keys(request_id, subject, effect.keys))
        self._advance([*effect.advance, *(() if effect.keys else (request_id,))])

    def _begin(
        self,
        new_steps: Sequence[Mapping[str, Any]],
        new_objects: Sequence[Mapping[str, Any]],
        told: Sequence[audit.Event] = (),
    ) -> None:
        """Write the steps of requests that begin now. told: events that come before."""
        step_rows.insert_steps(self.conn, [{**row, "started": self.now} for row in new_steps])
        step_rows.insert_step_objects(self.conn, new_objects)
        audit.append(self.conn, [*told, *steps.started(new_steps)], self.now)

    def _advance(self, ids: Collection[str]) -> None:
        """Go on with requests; note which of them are over."""
        wanting = sorted(set(ids))
        self._tally.outcomes.update(advance(self.conn, wanting, self._terms.progress, self.now))


def _action(candidate: Candidate) -> str:
    return candidate.request.action if candidate.request is not None else ""
