"""Acceptance: everything that one transaction writes of some requests.

Promises: each request is judged by what was accepted before it, by policy, by its order and its
time. One commit writes bytes, steps, claims, due objects and events, or none of them. What a verb
(retry, release) sends back is judged again in it. Tasks outside the journal are a list
(`after_commit`). Leaves out: reading files, committing (`intake`, `following`), and the `verbs`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import Any

from provisioner.admission import admission, duplicates
from provisioner.admission.admission import Judged, arrival_of, noted, row, ruled
from provisioner.admission.after_commit import Admitted, Tally, after_commit
from provisioner.admission.candidates import Candidate, is_verb, plain_problems, problem_of, waves
from provisioner.admission.duplicates import Company
from provisioner.admission.reading import Reader
from provisioner.contract import Fault
from provisioner.controls import left_out
from provisioner.controls.effects import Command, Effect
from provisioner.controls.verbs import VERBS
from provisioner.journal import audit
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries import dates, replaced
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import (
    companion_rows,
    ledger,
    object_rows,
    request_rows,
    step_moves,
    step_rows,
)
from provisioner.journal.records.changes import Changes, shown
from provisioner.objects.states import OPEN, RequestState
from provisioner.outcome.outsiders import Refusals, shortened
from provisioner.policy import protected, rehearsal
from provisioner.policy.review import AS_SERVICE, Answers, Case, Review, Ruling, Steers
from provisioner.policy.writers import Writers
from provisioner.request.request import Request
from provisioner.steps import disputes, steps
from provisioner.steps.advance import advance
from provisioner.steps.binding import Progress
from provisioner.system.ulid import RequestId

_TICK = 1e-6
"""Seconds by which a request that waited counts as later than what was accepted with it before."""

_AGAIN = (*OPEN, RequestState.FAILED, RequestState.CANCELLED)
"""States from which a request is judged again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every acceptance of one service needs.

    refusals: decides which refusals get an event; lanes: lane of each instance; has_file: returns
    True if a refused request's file can go through staging again; company: who else accepts.
    """

    book: Journal
    reader: Reader
    review: Review
    writers: Writers
    refusals: Refusals
    progress: Progress
    lanes: Mapping[str, str]
    has_file: Callable[[request_rows.Record], bool]
    company: Company


class Acceptance:
    """One transaction in which requests are accepted or refused."""

    def __init__(self, conn: Connection, terms: Terms) -> None:
        """conn: of the transaction, which begins with this."""
        self.conn = conn
        self.now = terms.company.now()
        """The time of the transaction, in seconds since the epoch."""
        self._terms = terms
        terms.company.catch_up(conn, terms.writers, terms.review)
        self._tally = Tally()
        self._again: deque[RequestId] = deque()
        self._until = inf

    @property
    def accepted(self) -> tuple[RequestId, ...]:
        """The new requests that begin now, so far."""
        return tuple(self._tally.accepted)

    def admit(
        self, candidates: Sequence[Candidate], answers: Answers | None = None, until: float = inf
    ) -> Sequence[Candidate]:
        """Accept or refuse new requests, each by itself; return those that are left.

        answers: whose rights policy applies to all of them; None: those of each one's writer;
        until: monotonic time after which no more are begun, but the first.
        """
        done = 0
        self._until = until
        for wave in waves(self.conn, candidates):
            done += self._admit_wave(wave, answers)
            self._readmit_those_left()
            if time.monotonic() >= until:
                break
        return candidates[done:]

    def readmit(self, ids: Iterable[RequestId]) -> None:
        """Judge and accept again scheduled requests whose time has come."""
        for request_id in ids:
            for record in request_rows.load(self.conn, [request_id]).values():
                # An earlier one of these may have cancelled or held it.
                if record.state == RequestState.SCHEDULED:
                    self._readmit(record)
            self._readmit_those_left()

    def conclude(self, candidate: Candidate, effect: Effect) -> None:
        """End the acceptance of a request whose manifest was followed."""
        notes = admission.notes_of(effect)
        request_rows.set_problems(self.conn, candidate.submission.ulid, notes)
        self._begin_verb(candidate, effect)

    def end(self, outcomes: Mapping[RequestId, RequestState]) -> None:
        """Report requests as over whose outcomes are written."""
        self._tally.outcomes.update(outcomes)

    def hold(self, request_id: RequestId) -> None:
        """Report a request as held whose hold is written."""
        self._tally.effects.append(Effect(held=[request_id]))

    def admitted(self, candidates: Sequence[Candidate] = ()) -> Admitted:
        """Return the result, and tell other processes of it at the commit.

        candidates: those that were admitted, with the files beside them.
        """
        senders = {c.submission.ulid: c.submission.uid for c in candidates}
        beside = [file for c in candidates for file in (c.companion, c.signature)]
        companions = [file for file in beside if file is not None]
        left = tuple(after_commit(self._tally, senders, companions))
        self._terms.company.tell(self.conn, left)
        return Admitted(tuple(senders), self.accepted, left)

    # Judging.

    def _admit_wave(self, wave: Sequence[Candidate], answers: Answers | None) -> int:
        """Judge and write the requests of a wave, until it is time; return how many."""
        judged = self._judge(wave, answers)
        rows, refused = [], []
        for each in judged:
            made = row(each, self.now)
            if each.state == RequestState.REFUSED:
                if self._terms.review.is_outsider(each.candidate.submission.uid):
                    made = shortened(made)
                else:  # what is told of outsiders grows by days, not by their files
                    refused.append(each.id)
            rows.append(made)
            self._keep_manifest(each)
            if each.state == RequestState.ACCEPTED:
                self._tally.accepted.append(each.id)
            elif each.state == RequestState.SCHEDULED:
                self._tally.scheduled.append(each.id)
            else:
                self._tally.outcomes[each.id] = each.state
        request_rows.insert_requests(self.conn, rows)
        replaced.refused_again(self.conn, refused, self.now)
        quiet, events = self._terms.refusals.judge(rows, self.now)
        loud = [pair for pair in zip(judged, rows, strict=True) if pair[0].id not in quiet]
        events += [arrival_of(each.candidate, made) for each, made in loud]
        for each, _ in loud:
            events += self._ruled(each)
        self._accept([each for each in judged if each.state == RequestState.ACCEPTED], events)
        return len(judged)

    def _readmit_those_left(self) -> None:
        """Judge again the requests that a verb (retry, release) sent back, and what they send."""
        while self._again:
            for record in request_rows.load(self.conn, [self._again.popleft()]).values():
                self._readmit(record)

    def _readmit(self, record: request_rows.Record) -> None:
        """Judge a recorded request as if it were new."""
        candidate = self._terms.reader.again(self.conn, record)
        released = record.approved_by is not None
        seen = shown(self.conn, record.id) or Changes(()) if released else None
        dated = dates.follows_a_date(self.conn, record.id)
        answers = Answers(*(AS_SERVICE if dated else (record.uid, record.writer)), seen)
        [judged] = self._judge([candidate], answers, besides=record.id)
        self._tally.readmitted.append(record.id)
        request_rows.set_state(self.conn, [record.id], _AGAIN, judged.state)
        request_rows.set_problems(self.conn, record.id, plain_problems(noted(judged)))
        request_rows.set_duplicate_of(self.conn, record.id, judged.verdict.duplicate_of)
        self._keep_manifest(judged)
        if judged.state == RequestState.ACCEPTED:
            self.now += _TICK
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
        """Return the verdicts on requests. besides: a request that is judged again.

        It does not count as its own duplicate; '' for new requests.
        """
        history = duplicates.look_up(self.conn, wave, self.now, besides)
        return [
            Judged(candidate, duplicates.verdict(candidate, history, ruling, self.now), ruling)
            for candidate, ruling in self._rule(wave, answers)
        ]

    def _rule(
        self, wave: Sequence[Candidate], answers: Answers | None
    ) -> list[tuple[Candidate, Ruling | None]]:
        """Ask policy about the requests that are valid by themselves, until it is time."""
        cases = []
        for c in wave:
            if c.request is not None and not c.problems and c.forbidden is None:
                answering = answers or Answers(c.submission.uid, c.submission.writer)
                asked = (c.request, c.planned, answering.seen, answering.counted)
                facts = (*asked, self._steers(c), answering.beside, answering.with_uid)
                cases.append(Case(c.submission.ulid, answering.uid, answering.writer, *facts))
        rulings = self._terms.review.judge(self.conn, cases, self.now, self._until)
        left = {case.id for case in cases} - rulings.keys()
        done = takewhile(lambda c: c.submission.ulid not in left, wave)
        return [(c, c.forbidden or rulings.get(c.submission.ulid)) for c in done]

    def _steers(self, candidate: Candidate) -> Steers | None:
        """Return a rehearsal of a request that steers another one; None if it does not."""
        request = candidate.request
        if request is None or request.action not in rehearsal.CHANGING:
            return None
        return lambda seeker: rehearsal.changed(
            self._terms.book, self.conn, self._command(candidate, request, seeker)
        )

    def _ruled(self, judged: Judged) -> list[audit.Event]:
        """Write a hold; return the events about policy's answer."""
        if judged.verdict.held_by is not None:
            request_rows.hold(self.conn, judged.id, judged.verdict.held_by)
        elif judged.ruling is not None and judged.state == RequestState.HELD:
            request_rows.hold_for_review(self.conn, judged.id)
        return ruled(judged)

    # Writing.

    def _keep_manifest(self, judged: Judged) -> None:
        """Store the manifest of a request that is not over."""
        if judged.candidate.manifest is not None and judged.state in OPEN:
            companion_rows.keep_companion(self.conn, judged.id, judged.candidate.manifest)

    def _accept(self, judged: Sequence[Judged], events: Sequence[audit.Event]) -> None:
        """Write claims, steps and due objects of requests, or run a verb, which is always alone.

        events: those to write before everything that happens here.
        """
        verbs = [each for each in judged if is_verb(each.candidate)]
        if not verbs:
            self._provide([each.candidate for each in judged], events)
            return
        audit.append(self.conn, events, self.now)
        for verb in verbs:
            self._control(verb)

    def _provide(self, wave: Sequence[Candidate], events: Sequence[audit.Event]) -> None:
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
        self._begin(new_steps, new_objects, events)
        asked = {c.request.subject: c.submission.ulid for c in wave if c.request is not None}
        left_out.lift(self.conn, asked, self.now)
        # Steps without objects, and requests without steps, are over as soon as they begin.
        full = {c.submission.ulid for c in wave if c.planned and all(s.claims for s in c.planned)}
        hollow = [c.submission.ulid for c in wave if c.submission.ulid not in full]
        step_moves.close_hollow(self.conn, hollow, self.now)
        self._advance(hollow)

    def _claim(self, wave: Sequence[Candidate]) -> dict[RequestId, dict[str, str]]:
        """Replace the claims of each subject by those of its newest request.

        Return the objects that each request leaves out, with their instances.
        """
        before = ledger.claimed(self.conn, {c.request.subject for c in wave if c.request})
        entries: list[ledger.Entry] = []
        owner: dict[str, tuple[RequestId, str]] = {}
        gone: dict[RequestId, dict[str, str]] = {}
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
            by, protects = candidate.submission, self._terms.review.protects
            if held := protected.spare(self.conn, by.ulid, held, protects):
                keys = ledger.withdraw(self.conn, held, object_rows.Turn(self.now, by.writer))
                gone[by.ulid] = object_rows.instances_of(self.conn, keys)
        ledger.claim(self.conn, entries, self._terms.lanes, owner, self.now)
        return gone

    def _control(self, judged: Judged) -> None:
        """Run a verb. Requests that it sends back are judged again later."""
        candidate, request, ruling = judged.candidate, judged.candidate.request, judged.ruling
        assert request is not None and ruling is not None and ruling.seeker is not None
        seeker = ruling.seeker
        if request.values.get("manifest"):
            self._tally.manifests[judged.id] = candidate.submission.uid
            return
        person = None
        if request.on_behalf_of is not None:
            person = request_rows.load(self.conn, [judged.id])[judged.id].on_behalf_of
        command = self._command(candidate, request, seeker, person)
        try:
            self._terms.reader.check_release(self.conn, request, seeker, self.now)
            effect = VERBS[request.action](self.conn, command)
        except Fault as fault:
            self._fail(judged.id, request, fault)
            return
        self._tally.effects.append(effect)
        if judged.id in effect.held:
            return
        if effect.notes:
            request_rows.set_problems(self.conn, judged.id, admission.notes_of(effect))
        self._tally.outcomes.update(effect.ended)
        self._again.extend(effect.readmitted)
        self._begin_verb(candidate, effect)

    def _command(
        self, candidate: Candidate, request: Request, seeker: Seeker, by: str | None = None
    ) -> Command:
        """Return who asks for what, and when. by: the person behind the writer, if believed."""
        submission, terms = candidate.submission, self._terms
        asker = (submission.ulid, submission.writer, request, self.now)
        return Command(*asker, terms.lanes, terms.progress, seeker, terms.has_file, by)

    def _fail(self, request_id: RequestId, request: Request, fault: Fault) -> None:
        """Write that a verb could not be done."""
        problems = plain_problems((request.placed(problem_of(fault)),))
        outcome = {request_id: RequestState.FAILED}
        request_rows.set_problems(self.conn, request_id, problems)
        request_rows.end_requests(self.conn, outcome, self.now, text=fault.message)
        self._tally.outcomes.update(outcome)

    def _begin_verb(self, candidate: Candidate, effect: Effect) -> None:
        """Make a verb wait for the objects that it touched; without any, it is over."""
        assert candidate.request is not None
        request_id, subject = candidate.submission.ulid, candidate.request.subject
        if effect.portions:
            self._tally.manifests[request_id] = candidate.submission.uid
            return
        self._begin(*steps.rows_of_keys(request_id, subject, effect.keys))
        self._advance([*effect.advance, *(() if effect.keys else (request_id,))])

    def _begin(
        self,
        new_steps: Sequence[Mapping[str, Any]],
        new_objects: Sequence[Mapping[str, Any]],
        events: Sequence[audit.Event] = (),
    ) -> None:
        """Write the steps of requests that begin now. events: those to write before."""
        step_rows.insert_steps(self.conn, [{**row, "started": self.now} for row in new_steps])
        step_rows.insert_step_objects(self.conn, new_objects)
        audit.append(self.conn, [*events, *steps.started(new_steps)], self.now)

    def _advance(self, ids: Collection[RequestId]) -> None:
        """Let requests continue; record which of them are over."""
        wanting = sorted(set(ids))
        made = advance(self.conn, wanting, self._terms.progress, self.now)
        self._tally.outcomes.update(made.outcomes)
