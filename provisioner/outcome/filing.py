"""Filing, what follows a commit: results, receipts, and files moved to their state's folder.

Promises: everything here can be done again from the journal, so a crash before it loses nothing;
`redo` does so at the start. Leaves out: deciding any outcome (`intake`, `steps`),
and the words of it (`outcomes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from typing import Any

from provisioner.journal import audit, journal
from provisioner.journal.records import event_rows, request_rows, step_rows
from provisioner.objects.states import ENDED, RequestState
from provisioner.outcome import receipts, results
from provisioner.outcome.outcomes import outcome_line, receipt_name, receipt_of, result_of
from provisioner.outcome.refusals import Refusals
from provisioner.spool import strikes
from provisioner.spool.spool import Rejected, Spool
from provisioner.system.users import user_name

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
"""Where the file of a request in each state lies."""

_MOVING = ("active", "deferred", "held")

_TOLD = (*ENDED, RequestState.DEFERRED)
"""States in which somebody may want to know of each step."""

_LATELY = 600.0
"""Seconds before the newest event that may not have been flushed when the power went; Linux keeps
what was written for half a minute where nobody tells it otherwise."""

_MOST = 200_000
"""Events that are looked at for that."""

_PORTION = 256
"""Requests whose records are in memory at once."""


DEADLY = (
    "the service died each time that it judged this file: find out why in the service's log, then "
    "move the file, or a corrected one, back into staging"
)
"""Why a file was set aside that nobody got to the end of."""


class Finisher:
    """Puts files, results and receipts where the journal says they belong.

    `settle`, `announce` and `resubmit` are for one thread.
    """

    def __init__(self, spool: Spool, book: journal.Journal, *, write_results: bool = True) -> None:
        self._spool = spool
        self._journal = book
        self._write_results = write_results
        self._complaints: dict[str, str] = {}
        self.strikes = strikes.Strikes(spool.root)
        self.observing = False
        self.refusals = Refusals(lambda uid: False)
        """Says which refusals are told by an event."""

    def settle(self, ids: Collection[str]) -> list[str]:
        """Bring the files of requests to where their states say, with result and receipt.

        Return those that the disk did not let be brought there.
        """
        failed: list[str] = []
        if not ids:
            return failed
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids)
            told = [who for who, record in loaded.items() if record.state in _TOLD]
            found = step_rows.steps_of(conn, told) if self._write_results else {}
        for who, record in loaded.items():
            listed = found.get(who, ())
            try:
                self._settle_one(record, listed)
            except OSError as error:
                self._complain(who, error)
                failed.append(who)
                continue
            self._complaints.pop(who, None)
            if record.state in ENDED and log.isEnabledFor(logging.INFO):
                log.info("%s", outcome_line(record, listed))
        return failed

    def _complain(self, who: str, error: OSError) -> None:
        """Log why a file is not in its place: once, as it is tried again each second."""
        why = str(error)
        if self._complaints.get(who) != why:
            self._complaints[who] = why
            log.error("%s: its file could not be put in place: %s; trying again", who, error)

    def announce(self, ids: Collection[str]) -> None:
        """Write the receipts of requests that were accepted."""
        if not ids or not self._write_results:
            return
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids)
        for record in loaded.values():
            self._write_receipt(record)

    def _settle_one(
        self, record: request_rows.Record, listed: Sequence[step_rows.StepRecord]
    ) -> None:
        place = _place_of(record)
        ended = record.state in ENDED
        # The move comes last: a file that is where it belongs says that all the rest is done.
        if (ended and self._write_results) or not record.digest:
            self._write_result(place, record, listed)
        if self._write_results or not record.digest:
            self._write_receipt(record, listed)
        for source in _MOVING:
            if source != place and self._spool.move(record.id, source, place, record.name):
                return
        if place not in ("failed", "quarantine"):
            # It failed, and was tried again; it may be over by now.
            self._spool.discard_result("failed", record.id, record.name)
            self._spool.move(record.id, "failed", place, record.name)

    def _write_result(
        self, place: str, record: request_rows.Record, listed: Sequence[step_rows.StepRecord]
    ) -> None:
        again = record.state != RequestState.REFUSED or self.has_file(record)
        text = results.render(result_of(record, listed, again=again))
        self._spool.write_result(place, record.id, record.name, text)

    def _write_receipt(
        self, record: request_rows.Record, listed: Sequence[step_rows.StepRecord] = ()
    ) -> None:
        name = receipt_name(record)
        receipt = receipt_of(record, listed, observing=self.observing)
        receipts.write(self._spool.receipts, record.writer, name, receipt)

    def has_file(self, record: request_rows.Record) -> bool:
        """Return True if a refused request's file can go through staging again."""
        places = "failed", "active"  # where it lies, and where it is on its way from
        return any(self._spool.lies(place, record.id, record.name) for place in places)

    def resubmit(self, ulid: str) -> None:
        """Put a refused file through staging again."""
        with self._journal.reading() as conn:
            record = request_rows.load(conn, [ulid])[ulid]
        self._spool.discard_result("failed", ulid, record.name)
        self._spool.return_to_staging(ulid, "failed", record.name)

    def reject(self, rejected: Rejected) -> None:
        """Record that a file was not even read, and why; `settle` sets it aside."""
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
            quiet, told = self.refusals.judge([row], now)
            if not quiet:
                told.append(audit.arrival(row, rejected.reason))
            audit.append(conn, told, now)
        log.warning("%s of %s: %s", rejected.name, rejected.writer, rejected.reason)

    def redo(self) -> int:
        """Redo what a crash or a power cut may have undone, and remove what it left half written.

        To be called before anything is taken. Return how many files were moving.
        """
        ids = {who for place in _MOVING for who in self._spool.listed(place)}
        failed = self._spool.listed("failed")
        with self._journal.reading() as conn:
            known = request_rows.states_of(conn, ids)
            astray = {
                who
                for who, state in request_rows.states_of(conn, failed).items()
                if PLACE[state] != "failed"
            }
            resubmitted = event_rows.with_event(conn, failed, "resubmitted")
        moving = [*known, *(astray - known.keys())]
        for start in range(0, len(moving), _PORTION):
            self.settle(moving[start : start + _PORTION])
        unjudged = sorted(ids - known.keys())
        for who in unjudged:
            self._return(who, alone=len(unjudged) == 1)
        self.strikes.keep()
        for who in resubmitted:
            self.resubmit(who)
        self._mend()
        self._spool.remove_leftovers()
        return len(ids)

    def _return(self, who: str, *, alone: bool) -> None:
        """Put back what nobody had judged when the service died, unless it died of that."""
        count, taken = 0, self._spool.taken(who)
        if taken is not None:
            name, found = taken
            count = self.strikes.strike(found, time.time() - found.st_ctime, alone=alone)
            if count >= strikes.MOST:
                writer = user_name(found.st_uid)
                self.reject(Rejected(who, name, found.st_uid, writer, DEADLY, quarantine=True))
                self.settle([who])
                return
        back = self._spool.return_to_staging(who)
        if back is not None:
            self.strikes.suspects.add(back)
            seconds = strikes.rest(count)
            if seconds:
                log.error(
                    "%s: the service died of it %d times: it waits for %g s", back, count, seconds
                )
                self._spool.postpone(back, seconds)

    def _mend(self) -> None:
        """Bring back what was not flushed: takings that were undone, results and receipts."""
        with self._journal.reading() as conn:
            ids = event_rows.recent(conn, _LATELY, _MOST)
        newest: dict[tuple[str, str], str] = {}
        for start in range(0, len(ids), _PORTION):
            with self._journal.reading() as conn:
                loaded = request_rows.load(conn, ids[start : start + _PORTION])
            newest.update({(r.writer, receipt_name(r)): r.id for r in loaded.values()})
        tell = set(newest.values())
        for start in range(0, len(ids), _PORTION):
            self._mend_some(ids[start : start + _PORTION], tell)

    def _mend_some(self, ids: Collection[str], tell: Collection[str]) -> None:
        """tell: requests that are the newest of those whose receipt has their name."""
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids).values()
            unsaid = [record for record in loaded if self._lacks_result(record)]
            untold = [r for r in loaded if r.id in tell and self._lacks_receipt(r)]
            found = step_rows.steps_of(conn, [record.id for record in (*unsaid, *untold)])
        for record in unsaid:
            self._write_result(_place_of(record), record, found[record.id])
        for record in untold:
            self._write_receipt(record, found[record.id])

    def _lacks_result(self, record: request_rows.Record) -> bool:
        """Return True if a file is in its place without its result; take it there from staging."""
        place = _place_of(record)
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
        if not self._write_results:
            return False
        return not receipts.is_there(self._spool.receipts, record.writer, receipt_name(record))


def _place_of(record: request_rows.Record) -> str:
    """Say where the file of a request belongs; one that was never read may be set aside."""
    return "quarantine" if record.set_aside else PLACE[record.state]
