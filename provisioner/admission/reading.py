"""Reading: what a file says now, or said when it arrived, as far as its writer may ask for it.

Promises: a request that is judged again is read as it was recorded: it needs no signature, and the
file that it names is read at most once. Leaves out: what was accepted before, and what follows
(`acceptance`).
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.admission.admission import submission_of
from provisioner.admission.candidates import Candidate, expired, judge
from provisioner.admission.enclosures import Enclosures
from provisioner.admission.signature import Signatures
from provisioner.contract import Refused
from provisioner.controls import verbs
from provisioner.journal.journal import Connection
from provisioner.journal.queries import dates, lookup
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import companion_rows, request_rows
from provisioner.objects.states import RequestState
from provisioner.policy.review import Review, Ruling
from provisioner.policy.writers import Writers
from provisioner.request.crowds import Meant
from provisioner.request.request import Request
from provisioner.routing.router import Router
from provisioner.spool.spool import Submission


class Reader:
    """Reads the files of one site's requests."""

    def __init__(
        self,
        router: Router,
        review: Review,
        enclosures: Enclosures,
        signatures: Signatures,
        writers: Writers,
    ) -> None:
        """enclosures: reads the file that a request names; signatures: decides whose a file is;
        writers: who that is in the journal.
        """
        self._router = router
        self._review = review
        self.enclosures = enclosures
        self._signatures = signatures
        self._writers = writers

    def first(self, submission: Submission) -> Candidate:
        """Read a file that was just taken; a signed one is its signer's."""
        return self._signatures.judge(submission, self._named)

    def current(self, candidate: Candidate) -> Candidate:
        """Return a candidate of whom its writer's name means now: another intake may have taken
        files of somebody of that name first."""
        before = candidate.submission
        submission = self._writers.named(before)
        if submission.writer == before.writer:
            return candidate
        judged = replace(self._read(submission), signature=candidate.signature)
        return self.enclosures.complete(judged)

    def again(self, conn: Connection, record: request_rows.Record) -> Candidate:
        """Read a recorded request by what its writer may ask for now; an end of access is due to
        nobody's right."""
        if dates.follows_a_date(conn, record.id):  # whoever let it end then may have left
            return judge(submission_of(record), self._router, lambda request: None)
        candidate = self._read(submission_of(record))
        if record.listed is not None:
            return self.enclosures.fill(candidate, tuple(record.listed.split()))
        if companion_rows.has_companion(conn, record.id):
            return candidate
        return self.enclosures.complete(candidate)

    def check_release(self, conn: Connection, request: Request, seeker: Seeker, now: float) -> None:
        """Raise Refused if a request would release one that may no longer be asked for.

        One that never began is judged whole after its release (`acceptance`).
        """
        if request.action != "request.release":
            return
        record = lookup.find(conn, verbs.named(request), seeker)
        if record.state != RequestState.HELD or not verbs.begun(conn, record):
            return
        held = self.again(conn, record)
        late = expired(held.request, now) if held.request is not None else None
        if held.forbidden is not None:
            why = held.forbidden.answer.why
            raise Refused(f"{record.id} is no longer allowed: {why}", advice="cancel it")
        if late is not None:
            raise Refused(f"{record.id} is too late: {late.message}", advice="cancel it")

    def _named(self, submission: Submission) -> Candidate:
        return self._read(self._writers.named(submission))

    def _read(self, submission: Submission) -> Candidate:

        def foresee(request: Request) -> Ruling | None:
            return self._review.foresee(submission.uid, submission.writer, request)

        return judge(submission, self._router, foresee, self._meant)

    def _meant(self, submission: Submission, request: Request) -> Meant:
        return self._review.meant(submission.uid, submission.writer, request)
