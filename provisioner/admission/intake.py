"""The intake: from a name in staging to an accepted request, or to a refusal with its reasons.

Promises: a request is parsed, routed and checked whole before anything of it is written; accepting
a batch is one commit of bytes, steps, claims and due objects. Leaves out: what lanes then do, and
the moving of files that have their outcome (`filing`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from provisioner.admission import duplicates
from provisioner.admission.admission import (
    Admitted,
    begin,
    keep,
    noted,
    row,
    ruled,
    submission_of,
    together,
    told_of,
)
from provisioner.admission.candidates import Candidate, judge, plain_problems, problem_of, waves
from provisioner.admission.enclosures import Enclosures, names_one
from provisioner.admission.signature import Signatures
from provisioner.contract import Fault
from provisioner.controls.verbs import VERBS, Command, Effect
from provisioner.journal import audit, journal
from provisioner.journal.journal import Connection
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import (
    companion_rows,
    ledger,
    object_rows,
    request_rows,
    step_moves,
)
from provisioner.objects.states import OPEN, RequestState
from provisioner.outcome.outsiders import shortened
from provisioner.outcome.refusals import Refusals
from provisioner.policy import rehearsal
from provisioner.policy.review import Answers, Case, Review, Ruling, Steers
from provisioner.request.crowds import Meant
from provisioner.request.documents import Problem
from provisioner.request.request import Request
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission
from provisioner.steps import binding, disputes, steps
from provisioner.steps.advance import advance

log = logging.getLogger(__name__)

_AGAIN = (*OPEN, RequestState.FAILED, RequestState.CANCELLED)
"""States from which a request is judged anew."""


class Intake:
    """Accepts batches of candidates into journal and ledger."""

    def __init__(
        self,
        book: journal.Journal,
        router: Router,
        progress: binding.Progress,
        review: Review,
        enclosures: Enclosures,
        signatures: Signatures,
    ) -> None:
        """enclosures: reads the file that a request names; signatures: says whose a file is, once:
        what is judged anew was recorded as theirs.
        """
        self._signatures = signatures
        self._enclosures = enclosures
        self._review = review
        self.refusals = Refusals(review.is_outsider)
        self._journal = book
        self._router = router
        self._lanes = router.lanes
        self._progress = progress
        self.has_file: Callable[[request_rows.Record], bool] = lambda record: True
        """Says whether a refused request's file can go through staging again."""

    def admit(self, submissions: Sequence[Submission]) -> Iterator[Admitted]:
        """Judge files and accept or refuse them, at each step some of them in one commit."""
        for alone, judged in self._batches(submissions):
            completed = [self._enclosures.complete(one) for one in judged]
            admitted = Admitted({one.submission.ulid: one.submission.uid for one in completed})
            now = time.time()
            with self._journal.transaction(new_work=True) as conn:
                if alone:
                    kept = companion_rows.kept_by(conn, completed[0].submission.uid)
                    completed = [self._enclosures.afford(completed[0], kept)]
                for wave in waves(completed):
                    self._admit_wave(conn, wave, admitted, now)
            beside = [one for c in completed for one in (c.companion, c.signature)]
            admitted.companions += [one for one in beside if one is not None]
            yield admitted

    def _batches(self, submissions: Sequence[Submission]) -> Iterator[tuple[bool, list[Candidate]]]:
        """Read files, and give those of one commit: each that names another file is alone.

        So no two manifests are in memory at once.
        """
        for some in together(submissions):
            judged = [self._signatures.judge(one, self._read) for one in some]
            for alone, part in groupby(judged, names_one):
                if alone:
                    yield from ((True, [one]) for one in part)
                else:
                    yield False, list(part)

    def _read(self, submission: Submission) -> Candidate:
        """Read what a file says, as far as its writer may ask for it."""

        def foresee(request: Request) -> Ruling | None:
            return self._review.foresee(submission.uid, submission.writer, request)

        return judge(submission, self._router, foresee, self.meant)

    def meant(self, submission: Submission, request: Request) -> Meant:
        """Say for whom a request counts."""
        return self._review.meant(submission.uid, submission.writer, request)

    def readmit(self, ids: Iterable[str]) -> Admitted:
        """Judge and accept anew requests that were recorded and waited for their time."""
        admitted = Admitted()
        with self._journal.transaction() as conn:
            self._readmit(conn, ids, admitted, time.time())
        return admitted

    def _readmit(
        self, conn: Connection, ids: Iterable[str], admitted: Admitted, now: float
    ) -> None:
        for record in request_rows.load(conn, list(ids)).values():
            candidate = self._read(submission_of(record))
            if record.listed is not None:
                candidate = self._enclosures.fill(candidate, tuple(record.listed.split()))
            elif not companion_rows.has_companion(conn, record.id):
                candidate = self._enclosures.complete(candidate)
            who = Answers(record.uid, record.writer, record.approved_by is not None)
            ruling = self._rule(conn, [candidate], now, who)
            history = duplicates.look_up(conn, [candidate], besides=record.id)
            verdict = duplicates.verdict(candidate, history, ruling.get(record.id), now)
            state, problems = verdict.state, verdict.problems
            admitted.readmitted.append(record.id)
            request_rows.set_state(conn, [record.id], _AGAIN, state)
            request_rows.set_problems(
                conn, record.id, plain_problems(noted(candidate, state, problems))
            )
            request_rows.set_duplicate_of(conn, record.id, verdict.duplicate_of)
            keep(conn, candidate, state)
            if state == RequestState.ACCEPTED:
                request_rows.set_accepted(conn, record.id, now)
                self._accept(conn, [candidate], admitted, now, rulings=ruling)
            elif state not in OPEN:
                admitted.outcomes[record.id] = state
                companion_rows.drop_companion(conn, record.id)
                why = "; ".join(problem.message for problem in problems)
                request_rows.end_requests(conn, {record.id: state}, now, text=why)
            audit.append(conn, ruled(conn, [(candidate, state)], ruling), now)

    def due_later(self) -> list[str]:
        """List scheduled requests whose `not_before` has come."""
        with self._journal.reading() as conn:
            return request_rows.scheduled_until(conn, time.time())

    def _admit_wave(
        self,
        conn: Connection,
        wave: Sequence[Candidate],
        admitted: Admitted,
        now: float,
        answers: Answers | None = None,
    ) -> None:
        rows, accepted = [], []
        history = duplicates.look_up(conn, wave)
        rulings = self._rule(conn, wave, now, answers)
        for candidate in wave:
            ruling = rulings.get(candidate.submission.ulid)
            verdict = duplicates.verdict(candidate, history, ruling, now)
            state = verdict.state
            if state == RequestState.ACCEPTED:
                accepted.append(candidate)
                admitted.accepted.append(candidate.submission.ulid)
            elif state == RequestState.SCHEDULED:
                admitted.scheduled.append(candidate.submission.ulid)
            else:
                admitted.outcomes[candidate.submission.ulid] = state
            person = ruling.on_behalf_of if ruling is not None else None
            made = row(candidate, verdict, now, person)
            if state == RequestState.REFUSED and self._review.is_outsider(candidate.submission.uid):
                made = shortened(made)
            rows.append(made)
            keep(conn, candidate, state)
        request_rows.insert_requests(conn, rows)
        quiet, told = self.refusals.judge(rows, now)
        heard = [pair for pair in zip(wave, rows, strict=True) if pair[1]["id"] not in quiet]
        told += [told_of(*pair) for pair in heard]
        told += ruled(conn, [(c, row["state"]) for c, row in heard], rulings)
        self._accept(conn, accepted, admitted, now, told, rulings=rulings)

    def _rule(
        self,
        conn: Connection,
        wave: Sequence[Candidate],
        now: float,
        answers: Answers | None = None,
    ) -> dict[str, Ruling]:
        """Ask policy about the requests that are right by themselves."""
        cases = []
        foreseen = {c.submission.ulid: c.forbidden for c in wave if c.forbidden is not None}
        for c in wave:
            if c.request is not None and not c.problems and c.forbidden is None:
                who = answers or Answers(c.submission.uid, c.submission.writer, approved=False)
                asked = (c.request, c.planned, who.approved, who.counted)
                steers = self._steers(conn, c, now)
                cases.append(Case(c.submission.ulid, who.uid, who.writer, *asked, steers))
        return {**foreseen, **self._review.judge(conn, cases, now)}

    def _steers(self, conn: Connection, candidate: Candidate, now: float) -> Steers | None:
        """Rehearse what steers another request, when it is asked what that does."""
        submission, request = candidate.submission, candidate.request
        if request is None or request.action not in rehearsal.CHANGING:
            return None
        return lambda seeker: rehearsal.changed(
            self._journal, conn, self._asked(submission, request, now, seeker)
        )

    def _asked(
        self,
        submission: Submission,
        request: Request,
        now: float,
        seeker: Seeker,
        by: str | None = None,
    ) -> Command:
        """Say who asks for what, when. by: the person for whom, where that was believed."""
        who = (submission.ulid, submission.writer, request, now)
        return Command(*who, self._lanes, self._progress, seeker, self.has_file, by)

    def _accept(
        self,
        conn: Connection,
        wave: Sequence[Candidate],
        admitted: Admitted,
        now: float,
        told: Sequence[audit.Event] = (),
        *,
        rulings: Mapping[str, Ruling],
    ) -> None:
        """Write claims, steps and due objects of a wave; run verbs.

        told: events that are not written yet, and come before all that happens here.
        """
        provisions = [c for c in wave if c.request is not None and c.request.action not in VERBS]
        verbs = [c for c in wave if c.request is not None and c.request.action in VERBS]
        new_steps: list[dict[str, Any]] = []
        new_objects: list[dict[str, Any]] = []
        gone = self._claim(conn, provisions, now) if provisions else {}
        disputes.note(conn, {c.submission.ulid: c.shared for c in provisions}, self._progress)
        for candidate in provisions:
            ulid = candidate.submission.ulid
            some_steps, some_objects = steps.rows_of(ulid, candidate.planned)
            new_steps += some_steps
            new_objects += some_objects
            if ulid in gone:
                assert candidate.request is not None
                more = steps.rows_of_keys(
                    ulid, candidate.request.subject, gone[ulid], len(some_steps), withdraws=True
                )
                new_steps += more[0]
                new_objects += more[1]
            if any(steps.waits(step) for step in candidate.planned):
                assert candidate.request is not None
                self._progress.remember(ulid, candidate.request)
        empty = [c.submission.ulid for c in provisions if not any(s.claims for s in c.planned)]
        if verbs:
            audit.append(conn, told, now)
            told = ()
        for candidate in verbs:
            seeker = rulings[candidate.submission.ulid].seeker
            assert seeker is not None
            keys = self._run_verb(conn, candidate, admitted, now, seeker)
            if keys is None:
                continue
            assert candidate.request is not None
            ulid = candidate.submission.ulid
            some_steps, some_objects = steps.rows_of_keys(ulid, candidate.request.subject, keys)
            new_steps += some_steps
            new_objects += some_objects
            if not keys:
                empty.append(ulid)
        begin(conn, new_steps, new_objects, now, told)
        # Steps without objects, and requests without steps, are over as soon as they begin.
        hollow = [c.submission.ulid for c in provisions if any(not s.claims for s in c.planned)]
        step_moves.close_hollow(conn, hollow, now)
        wanting = sorted({*empty, *hollow, *(i for e in admitted.effects for i in e.advance)})
        admitted.outcomes.update(advance(conn, wanting, self._progress, now))

    def _claim(
        self, conn: Connection, wave: Sequence[Candidate], now: float
    ) -> dict[str, dict[str, str]]:
        """Replace the claims of each subject by those of its newest request.

        Return, for each request that leaves something out that was claimed before, those objects
        with their instances.
        """
        subjects = {c.request.subject for c in wave if c.request is not None}
        before = ledger.claimed(conn, subjects)
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
                keys = ledger.withdraw(conn, held, now)
                gone[candidate.submission.ulid] = object_rows.instances_of(conn, keys)
        ledger.claim(conn, entries, self._lanes, owner, now)
        told = {c.submission.ulid for c in wave if c.request is not None and c.request.adopt}
        if told:
            adopted = {e.key for e in entries if owner[e.claimant][0] in told}
            object_rows.set_adoption(conn, adopted, None)
        return gone

    def _run_verb(
        self,
        conn: Connection,
        candidate: Candidate,
        admitted: Admitted,
        now: float,
        seeker: Seeker,
    ) -> Mapping[str, str] | None:
        """Run a verb; None: it was refused, and its outcome is written."""
        assert candidate.request is not None
        submission, request = candidate.submission, candidate.request
        person = None
        if request.on_behalf_of is not None:
            person = request_rows.load(conn, [submission.ulid])[submission.ulid].on_behalf_of
        asked = self._asked(submission, request, now, seeker, person)
        if request.values.get("manifest"):
            admitted.manifests[submission.ulid] = submission.uid
            return None
        try:
            effect = VERBS[request.action](conn, asked)
        except Fault as fault:
            told = request.placed(problem_of(fault))
            request_rows.set_problems(conn, submission.ulid, plain_problems((told,)))
            request_rows.end_requests(
                conn, {submission.ulid: RequestState.FAILED}, now, text=fault.message
            )
            admitted.outcomes[submission.ulid] = RequestState.FAILED
            return None
        if submission.ulid in effect.held:
            admitted.effects.append(effect)
            return None
        if effect.notes:
            notes = tuple(Problem(None, "", text) for text in effect.notes)
            request_rows.set_problems(conn, submission.ulid, plain_problems(notes))
        admitted.effects.append(effect)
        admitted.outcomes.update(effect.ended)
        self._readmit(conn, effect.readmitted, admitted, now)
        return effect.keys

    def follow(
        self,
        conn: Connection,
        asked: Sequence[Candidate],
        answers: Answers,
        admitted: Admitted,
        now: float,
    ) -> None:
        """Accept what follows from a manifest, in the sender's name before policy."""
        for wave in waves(asked):
            self._admit_wave(conn, wave, admitted, now, answers)

    def conclude(
        self, conn: Connection, who: Candidate, effect: Effect, admitted: Admitted, now: float
    ) -> None:
        """End the acceptance of a request whose manifest was followed."""
        assert who.request is not None
        ulid = who.submission.ulid
        notes = tuple(Problem(None, "", text) for text in effect.notes)
        request_rows.set_problems(conn, ulid, plain_problems(notes))
        rows = steps.rows_of_keys(ulid, who.request.subject, effect.keys)
        begin(conn, *rows, now)
        over = [] if effect.keys else [ulid]
        admitted.outcomes.update(advance(conn, over, self._progress, now))
