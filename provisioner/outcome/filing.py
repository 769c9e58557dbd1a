"""Filing, what follows a commit: results, receipts, and files moved to their state's folder.

Promises: everything here can be done again from the journal, so a crash before it loses nothing;
`redo` does so at the start. Leaves out: deciding any outcome (`intake`, `steps`),
and the words of it (`outcomes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from provisioner.journal import audit, journal
from provisioner.journal.dialect import chunks
from provisioner.journal.persons import closed
from provisioner.journal.queries import replaced
from provisioner.journal.records import event_rows, request_rows, step_rows
from provisioner.objects.states import ENDED, RequestState
from provisioner.outcome import outcomes, results, telling
from provisioner.outcome.outcomes import OutputsOf
from provisioner.outcome.outsiders import Refusals
from provisioner.outcome.uses import NO_USES, Uses
from provisioner.spool import strikes
from provisioner.spool.spool import Rejected, Spool
from provisioner.system.ulid import RequestId
from provisioner.system.users import is_called, user_name

log = logging.getLogger(__name__)

PLACE = {
    RequestState.ACCEPTED: "active",
    RequestState.DEFERRED: "deferred",
    RequestState.SCHEDULED: "deferred",
    RequestState.HELD: "held",
    RequestState.DONE: "done",
    RequestState.SUPERSEDED: "done",
    RequestState.FAILED: "failed",
    RequestState.REFUSED: "failed",
    RequestState.CANCELLED: "failed",
}
"""The directory for the file of a request in each state; `place_of` has the exceptions."""

_MOVING = ("active", "deferred", "held")
_CLOSED = ("failed", "done")

_DETAILED = (*ENDED, RequestState.DEFERRED)
"""States in which results and receipts tell of each step."""

_UNFLUSHED = 600.0
"""Seconds before the newest event in which writes may be lost after a power cut. Linux keeps
written data in memory for half a minute by default."""

_MOST = 200_000
"""The most events that are looked at for that."""

_PORTION = 256
"""Requests whose records are in memory at the same time."""

DEADLY = (
    "the service died each time it judged this file: find the cause in the service's log, then "
    "move the file, or a corrected one, back into staging"
)
"""Why a file was set aside that the service never finished judging."""


class Finisher:
    """Moves files to where the journal says they belong, and writes results and receipts.

    `settle`, `announce` and `resubmit` are for one thread.
    """

    def __init__(
        self,
        spool: Spool,
        book: journal.Journal,
        outputs_of: OutputsOf,
        uses: Uses = NO_USES,
        *,
        write_results: bool = True,
    ) -> None:
        self._spool = spool
        self._journal = book
        self.teller = telling.Teller(spool.receipts, outputs_of, uses)
        self._write_results = write_results
        self._complaints: dict[RequestId, str] = {}
        self.strikes = strikes.Strikes(spool.root)
        self.refusals = Refusals(lambda uid: False)
        """Decides which refusals get an event."""

    def settle(self, ids: Collection[RequestId]) -> list[RequestId]:
        """Move the files of requests to where their states say, and write result and receipt.

        With a request that is over, those move that it has put right, or that were the same file.

        Return the requests for which the disk did not allow that. A second call for the same
        request does no harm.
        """
        if not ids:
            return []
        with self._journal.reading() as conn:
            fixed = set(replaced.fixed_by(conn, ids)).difference(ids)
            # First, as they are not found again after a kill. One can fix very many.
            light = list(chain.from_iterable(map(self._light, (*chunks(fixed), ids))))
        return [failed for some in light for failed in self._settle_some(some)]

    def _light(self, ids: Collection[RequestId]) -> list[list[RequestId]]:
        with self._journal.reading() as conn:
            return step_rows.light(conn, ids)

    def _settle_some(self, ids: Collection[RequestId]) -> list[RequestId]:
        failed: list[RequestId] = []
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids)
            detailed = [ulid for ulid, record in loaded.items() if record.state in _DETAILED]
            steps = step_rows.steps_of(conn, detailed) if self._write_results else {}
            told = telling.read(conn, loaded, steps)
            moved = {r.id: r.subject for r in loaded.values() if _moves(r)}
            renewed = closed.told_by(conn, moved.values()).difference(loaded)
        # Before any file moves: a request whose file has moved is not settled again after a kill.
        if stale := self.renew(renewed):
            with self._journal.reading() as conn:
                failed += closed.told_in(conn, moved, stale)
            loaded = {ulid: record for ulid, record in loaded.items() if ulid not in failed}
        with self.teller.telling(told) as tell:
            for record in telling.by_writer(loaded):
                listed = steps.get(record.id, ())
                with self._apart(record.id, failed):
                    self._settle_one(record, listed, tell)
                    new = record.state in ENDED and record.fixed_by is None
                    if new and log.isEnabledFor(logging.INFO):
                        about = {"request": record.id, "subject": record.subject}
                        log.info("%s", outcomes.outcome_line(record, listed), extra=about)
        return failed

    @contextmanager
    def _apart(self, ulid: RequestId, failed: list[RequestId]) -> Iterator[None]:
        """Keep a request's trouble its own: those of all others go on. It is added to `failed`."""
        try:
            yield
        except Exception as error:
            self._complain(ulid, error)
            failed.append(ulid)
        else:
            self._complaints.pop(ulid, None)

    def _complain(self, ulid: RequestId, error: Exception) -> None:
        """Log why a file is not in its place: once, because it is tried again every second."""
        why = str(error)
        if self._complaints.get(ulid) == why:
            return
        self._complaints[ulid] = why
        trace = None if isinstance(error, OSError) else error
        text = "%s: its file could not be put in place: %s; trying again"
        log.error(text, ulid, error, exc_info=trace)

    def announce(self, ids: Collection[RequestId]) -> list[RequestId]:
        """Write the receipts of requests that were accepted; return those that it could not.

        What is over or waits by now gets none: who wrote that asks for its receipt, with its steps.
        """
        failed: list[RequestId] = []
        if not ids or not self._write_results:
            return failed
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids)
            told = telling.read(conn, loaded, {})
        with self.teller.telling(told) as tell:
            for record in telling.by_writer(loaded):
                if record.state not in _DETAILED:
                    with self._apart(record.id, failed):
                        tell(record, ())
        return failed

    def _settle_one(
        self,
        record: request_rows.Record,
        listed: Sequence[step_rows.StepRecord],
        tell: telling.Tell,
    ) -> None:
        place = place_of(record)
        ended = record.state in ENDED
        if place != "quarantine" and not self._lies(record, *_MOVING, *_CLOSED):
            if record.fixed_by is not None:
                # Its file went through staging again, and is the other request's.
                self._spool.discard_result("failed", record.id, record.name)
                return
            if place == "failed" and record.body:
                # A line of a manifest: somebody may want to correct it.
                body = record.body
                self._spool.write_request(place, record.id, record.name, body, record.uid)
        # The move comes last: a file that is in its place means that the rest is done.
        if (ended and self._write_results) or not record.digest:
            self._write_result(place, record, listed)
        if self._write_results or not record.digest:
            tell(record, listed)
        for source in _MOVING:
            if source != place and self._spool.move(record.id, source, place, record.name):
                return
        for source in _CLOSED:
            if place not in (source, "quarantine"):
                # It failed and was retried or put right, and may already be over again.
                self._spool.discard_result(source, record.id, record.name)
                self._spool.move(record.id, source, place, record.name)

    def _write_result(
        self, place: str, record: request_rows.Record, listed: Sequence[step_rows.StepRecord]
    ) -> None:
        again = record.state != RequestState.REFUSED or self.has_file(record)
        text = results.render(outcomes.result_of(record, listed, again=again))
        self._spool.write_result(place, record.id, record.name, text)

    def renew(self, ids: Collection[RequestId]) -> list[RequestId]:
        """Write receipts of done requests again, where they still are; return those that failed."""
        failed: list[RequestId] = []
        if not ids or not self._write_results:
            return failed
        for some in self._light(ids):
            with self._journal.reading() as conn:
                loaded = request_rows.load(conn, some)
                steps = step_rows.steps_of(conn, some)
                told = telling.read(conn, loaded, steps)
            with self.teller.telling(told) as tell:
                for record in telling.by_writer(loaded):
                    with self._apart(record.id, failed):
                        if self.teller.is_newest(record) and record.state == RequestState.DONE:
                            tell(record, steps[record.id])
        return failed

    def has_file(self, record: request_rows.Record) -> bool:
        """Return True if a refused request's file can go through staging again."""
        places = *_CLOSED, "active"  # from which it moves to its place
        owners = {self._spool.owner(place, record.id, record.name) for place in places}
        # It would be judged as its owner's: the service's, if it is a copy of a manifest's line, or
        # those of who has the uid by now.
        return record.uid in owners and is_called(record.uid, record.writer)

    def _lies(self, record: request_rows.Record, *places: str) -> bool:
        return any(self._spool.lies(place, record.id, record.name) for place in places)

    def resubmit(self, ulid: RequestId) -> bool:
        """Put a refused file through staging again. Return False if that failed."""
        with self._journal.reading() as conn:
            record = request_rows.load(conn, [ulid])[ulid]
        failed: list[RequestId] = []
        with self._apart(ulid, failed):
            for place in _CLOSED:
                self._spool.discard_result(place, ulid, record.name)
                self._spool.return_to_staging(ulid, place, record.name)
        return not failed

    def reject(self, rejected: Rejected) -> None:
        """Record that a file was not even read, and why. `settle` then sets it aside."""
        now = time.time()
        problem: dict[str, Any] = {"line": None, "key": "", "message": rejected.reason}
        row = {
            "id": rejected.ulid,
            "name": rejected.name,
            "writer": rejected.writer,
            "uid": rejected.uid,
            "action": "",
            "subject": "",
            "digest": "",
            "body": b"",
            "state": RequestState.REFUSED,
            "accepted": now,
            "ended": now,
            "problems": [problem],
            "set_aside": rejected.quarantine,
        }
        with self._journal.transaction() as conn:
            request_rows.insert_requests(conn, [row])
            quiet, events = self.refusals.judge([row], now)
            if not quiet:
                events.append(audit.arrival(row, rejected.reason))
            audit.append(conn, events, now)
        log.warning("%s of %s: %s", rejected.name, rejected.writer, rejected.reason)

    def redo(self) -> list[RequestId]:
        """Redo what a crash or a power cut may have undone, and remove half-written files.

        It runs before anything is taken. Return the requests to settle again.
        """
        ids = {ulid for place in _MOVING for ulid in self._spool.listed(place)}
        failed = self._spool.listed("failed")
        with self._journal.reading() as conn:
            known = request_rows.states_of(conn, ids)
            states = request_rows.states_of(conn, failed)
            astray = {ulid for ulid, state in states.items() if PLACE[state] != "failed"}
            astray |= replaced.fixed_among(conn, failed)
            resubmitted = event_rows.with_event(conn, failed, "resubmitted")
        moving = [*known, *(astray - known.keys())]
        again: list[RequestId] = []
        for start in range(0, len(moving), _PORTION):
            again += self.settle(moving[start : start + _PORTION])
        unjudged = sorted(ids - known.keys())
        for ulid in unjudged:
            self._return(ulid, alone=len(unjudged) == 1)
        self.strikes.keep()
        for ulid in resubmitted:
            self.resubmit(ulid)
        again += self._repair()
        self._spool.remove_leftovers()
        return again

    def _return(self, ulid: RequestId, *, alone: bool) -> None:
        """Return a file to staging that was not judged when the service died.

        A file of which the service died several times is set aside instead.
        """
        count, taken = 0, self._spool.taken(ulid)
        if taken is not None:
            name, status = taken
            count = self.strikes.strike(status, time.time() - status.st_ctime, alone=alone)
            if count >= strikes.MOST:
                writer = user_name(status.st_uid)
                self.reject(Rejected(ulid, name, status.st_uid, writer, DEADLY, quarantine=True))
                self.settle([ulid])
                return
        back = self._spool.return_to_staging(ulid)
        if back is not None:
            self.strikes.suspects.add(back)
            seconds = strikes.rest(count)
            if seconds:
                log.error(
                    "%s: the service died of it %d times: it waits for %g s", back, count, seconds
                )
                self._spool.postpone(back, seconds)

    def _repair(self) -> list[RequestId]:
        """Repair what was not flushed: files that are in staging again, results and receipts."""
        with self._journal.reading() as conn:
            ids = event_rows.recent(conn, _UNFLUSHED, _MOST)
        newest: dict[tuple[str, str], RequestId] = {}
        for start in range(0, len(ids), _PORTION):
            with self._journal.reading() as conn:
                loaded = request_rows.load(conn, ids[start : start + _PORTION])
            newest.update({(r.writer, outcomes.receipt_name(r)): r.id for r in loaded.values()})
        latest = set(newest.values())
        failed: list[RequestId] = []
        for start in range(0, len(ids), _PORTION):
            for some in self._light(ids[start : start + _PORTION]):
                failed += self._repair_some(some, latest)
        return failed

    def _repair_some(
        self, ids: Collection[RequestId], latest: Collection[RequestId]
    ) -> list[RequestId]:
        """latest: the newest request for each name of a receipt."""
        failed: list[RequestId] = []
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids).values()
            no_result = [record for record in loaded if self._lacks_result(record)]
            no_receipt = {r.id: r for r in loaded if r.id in latest and self._lacks_receipt(r)}
            steps = step_rows.steps_of(conn, [*(record.id for record in no_result), *no_receipt])
            told = telling.read(conn, no_receipt, steps)
        for record in no_result:
            with self._apart(record.id, failed):
                self._write_result(place_of(record), record, steps[record.id])
        with self.teller.telling(told) as tell:
            for record in telling.by_writer(no_receipt):
                with self._apart(record.id, failed):
                    tell(record, steps[record.id])
        return failed

    def _lacks_result(self, record: request_rows.Record) -> bool:
        """Return True if a file is in its place without its result. Take it from staging first."""
        place = place_of(record)
        if not self._spool.lies(place, record.id, record.name):
            if not record.digest:
                return False
            known = record.uid, record.digest, record.accepted
            if not self._spool.retake(place, record.id, record.name, *known):
                return False
            log.warning(
                "%s: the power cut had left its file in staging; it is taken again", record.id
            )
        if record.state not in ENDED or not self._write_results:
            return False
        return not self._spool.has_result(place, record.id, record.name)

    def _lacks_receipt(self, record: request_rows.Record) -> bool:
        return self._write_results and self.teller.lacks(record)


def _moves(record: request_rows.Record) -> bool:
    return closed.moves(record.action, record.state, record.problems)


def place_of(record: request_rows.Record) -> str:
    """Return the directory for a request's file.

    A file that was never read may be set aside; what failed and was put right is done with.
    """
    if record.set_aside:
        return "quarantine"
    return PLACE[RequestState.DONE] if record.fixed_by is not None else PLACE[record.state]
