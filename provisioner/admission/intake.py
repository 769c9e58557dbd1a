"""The intake: files that were taken from staging are accepted in batches, each in one commit.

Promises: a request is parsed, routed and checked completely before anything of it is written. One
that comes due by itself and cannot be judged keeps back no other.
Leaves out: what a batch writes (`acceptance`), what lanes do afterwards, and moving files of
finished requests (`filing`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from provisioner.admission import endings
from provisioner.admission.acceptance import Acceptance, Terms
from provisioner.admission.admission import UNJUDGED, set_aside
from provisioner.admission.after_commit import Admitted, AfterCommit, Prepare
from provisioner.admission.candidates import Candidate
from provisioner.admission.enclosures import names_one
from provisioner.admission.endings import MOMENT
from provisioner.journal.journal import JournalBroken, is_of_rows
from provisioner.journal.records import companion_rows, request_rows
from provisioner.journal.records.waits import in_turns
from provisioner.objects.states import RequestState
from provisioner.request.documents import Problem
from provisioner.spool.spool import Submission
from provisioner.steps import steps
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

LATER = 0.5
"""Seconds between looks for requests whose time has come."""

ENDS = 10.0
"""Seconds between looks for ends of access."""

FEW = 32
"""The most requests, and objects of theirs, for which handlers get ready: many gain nothing."""

TOGETHER = 256 * 1024
"""Bytes of requests after which a commit takes no more."""

GIVEN = 2 * 1024 * 1024
"""Bytes of what their users get, after which it takes no more either: a request of 64 KiB can have
5,000 users."""


class Intake:
    """Accepts batches of files into the journal, for one service."""

    def __init__(self, terms: Terms) -> None:
        self._journal = terms.book
        self._terms = terms
        self.more_due = False
        """What has come due was not all accepted at the last look."""
        self._look_again = self._look_at_ends = 0.0
        self._served = -1
        self._ends: Iterator[Admitted] | None = None

    def admit(self, submissions: Sequence[Submission]) -> Iterator[Admitted]:
        """Judge files and accept or refuse them; each step commits some of them."""
        enclosures = self._terms.reader.enclosures
        for alone, judged in self._batches(submissions):
            completed: Sequence[Candidate] = [enclosures.complete(one) for one in judged]
            while completed:
                done, completed, admitted = self._commit(completed, alone=alone)
                more = _later(done, admitted.accepted)
                yield replace(admitted, left=(*admitted.left, *more))

    def _commit(
        self, batch: Sequence[Candidate], *, alone: bool
    ) -> tuple[Sequence[Candidate], Sequence[Candidate], Admitted]:
        """Accept as many of a batch in one commit as a moment allows; return those, and the rest.

        A file of a line can steer, or take back, what ten thousand users have.
        """
        until, company, numbered = time.monotonic() + MOMENT, self._terms.company, batch
        try:
            with self._journal.transaction(new_work=True) as conn:
                acceptance = Acceptance(conn, self._terms)
                numbered = company.number(conn, batch, self._terms.reader.current)
                if alone:
                    kept = companion_rows.kept_by(conn, batch[0].submission.uid)
                    numbered = [self._terms.reader.enclosures.afford(numbered[0], kept)]
                new = self._terms.writers.keep(conn, [c.submission for c in numbered])
                count = len(batch) - len(acceptance.admit(numbered, until=until))
                admitted = acceptance.admitted(numbered[:count])
        except JournalBroken:
            raise  # only the next start knows whether it was committed
        except BaseException:
            company.put_back(numbered, batch)
            raise
        company.put_back(numbered[count:], batch[count:])
        self._terms.writers.kept(new)
        former = {
            now.submission.ulid: before.submission.ulid
            for now, before in zip(numbered[:count], batch, strict=False)
        }
        return numbered[:count], batch[count:], replace(admitted, former=former)

    def _batches(self, submissions: Sequence[Submission]) -> Iterator[tuple[bool, list[Candidate]]]:
        """Read files, and yield those of one commit; a file that names another file is alone.

        So no two manifests are in memory at the same time.
        """
        some: list[Candidate] = []
        size = given = 0
        for submission in submissions:
            candidate = self._terms.reader.first(submission)
            alone = names_one(candidate)
            if some and (alone or size >= TOGETHER or given >= GIVEN):
                yield False, some
                some, size, given = [], 0, 0
            if alone:
                yield True, [candidate]
            else:
                some.append(candidate)
                size += len(submission.body)
                given += sum(step.size for step in candidate.planned)
        if some:
            yield False, some

    def readmit(self, ids: Iterable[RequestId]) -> Admitted:
        """Judge and accept again requests that were recorded and waited for their time.

        One commit takes as many as a moment allows; the others go on waiting. One of which judging
        fails unexpectedly is held, and those before it come again.
        """
        until, judged = time.monotonic() + MOMENT, None
        try:
            with self._journal.transaction() as conn:
                acceptance = Acceptance(conn, self._terms)
                for judged in ids:
                    acceptance.readmit([judged])
                    if time.monotonic() >= until:
                        break
                return acceptance.admitted()
        except Exception as error:
            if judged is None or not is_of_rows(error):
                raise
            log.exception("%s: judging failed unexpectedly: it is held", judged)
            why = Problem(None, "", f"judging it failed unexpectedly: {error!r}", UNJUDGED)
            with self._journal.transaction() as conn:
                acceptance = Acceptance(conn, self._terms)
                if set_aside(conn, judged, [RequestState.SCHEDULED], why, acceptance.now):
                    acceptance.hold(judged)
                return acceptance.admitted()

    def due(self, dated: Callable[[], float], seconds: float) -> Iterator[Admitted]:
        """Accept what has come due by itself: scheduled requests, and ends of access.

        Each step is a commit. The first that ends after some seconds is the last one; the next call
        goes on from there. dated: returns the time by which access ends.
        """
        began = time.monotonic()
        if began < self._look_again:
            return
        self.more_due = True
        for admitted in self._due(dated):
            yield admitted
            if time.monotonic() >= began + seconds:
                return
        self.more_due = False
        self._look_again = time.monotonic() + LATER

    def _due(self, dated: Callable[[], float]) -> Iterator[Admitted]:
        while scheduled := self._scheduled():
            left = iter([request_id for request_id, _ in scheduled])
            readmitted = self.readmit(left)
            _, self._served = scheduled[-1 - len(list(left))]
            yield readmitted
        if self._ends is None and time.monotonic() >= self._look_at_ends:
            self._look_at_ends = time.monotonic() + ENDS
            # Kept, as all that one look finds due are one crowd.
            self._ends = endings.follow(self._terms, dated())
        while self._ends is not None and (admitted := next(self._ends, None)) is not None:
            yield admitted
        self._ends = None

    def due_later(self) -> list[RequestId]:
        """List scheduled requests whose `not_before` has come."""
        return [request_id for request_id, _ in self._scheduled()]

    def _scheduled(self) -> list[tuple[RequestId, int]]:
        """List them with their writers' uids, who take turns: next is the one after the last."""
        queues: dict[int, list[tuple[RequestId, int]]] = {}
        with self._journal.reading() as conn:
            for request_id, uid in request_rows.scheduled_until(conn, self._terms.company.now()):
                queues.setdefault(uid, []).append((request_id, uid))
        order = sorted(queues, key=lambda uid: (uid <= self._served, uid))
        return in_turns(queues[uid] for uid in order)


def _later(
    candidates: Iterable[Candidate], accepted: Collection[RequestId]
) -> Iterator[AfterCommit]:
    """Yield that handlers get ready for a few steps that wait for others. accepted: who begins."""
    if len(accepted) > FEW:
        return
    begun = [one for one in candidates if one.submission.ulid in accepted]
    after = {key: needed for one in begun for key, needed in steps.waiting(one.planned).items()}
    if 0 < len(after) <= FEW:
        yield Prepare(after)
