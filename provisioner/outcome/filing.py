"""Filing, what follows a commit: results, receipts, and files moved to their state's folder.

Promises: everything here can be done again from the journal, so a crash before it loses nothing;
`redo` does so at the start. Leaves out: deciding any outcome (`intake`, `steps`),
and the words of it (`outcomes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain

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

_MOVING = ("active", "deferred", "held")
_CLOSED = ("failed", "done")

Work = Callable[[Collection[RequestId]], list[RequestId]]
"""Does something with requests, and returns those with which it failed."""

_DETAILED = (*ENDED, RequestState.DEFERRED)
"""States in which results and receipts tell of each step."""

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
        self.share: telling.Share = telling.Whole()
        """Says which requests are filed here."""
        self.now: Callable[[], float] = time.time
        """Returns the time of day, as the journal has it."""
        self.turn: Callable[[RequestId], AbstractContextManager[None]] = lambda _: nullcontext()
        """Puts files of a request into their places. Raises JournalBroken if others do by now."""

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
        return [one for some in light for one in self._each(self._settle_some, some)]

    def _light(self, ids: Collection[RequestId]) -> list[list[RequestId]]:
        with self._journal.reading() as conn:
            return step_rows.light(conn, ids)

    def _settle_some(self, ids: Collection[RequestId]) -> list[RequestId]:
        failed: list[RequestId] = []
        with self._journal.reading() as conn:
            every = request_rows.load(conn, ids)
            some = every.values()
            moved = {r.id: r.subject for r in some if closed.moves(r.action, r.state, r.problems)}
            loaded, echoed = self.share.split(conn, every)
            both = {**loaded, **echoed}
            detailed = [ulid for ulid, record in both.items() if record.state in _DETAILED]
            steps = step_rows.steps_of(conn, detailed) if self._write_results else {}
            told = telling.read(conn, both, steps)
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
            for record in telling.by_writer(echoed):
                with self._apart(record.id, failed):
                    tell(record, steps.get(record.id, ()))
        return failed

    @contextmanager
    def _apart(self, ulid: RequestId, failed: list[RequestId]) -> Iterator[None]:
        """Keep a request's trouble its own: those of all others go on. It is added to `failed`."""
        try:
            with self.turn(ulid):
                yield
        except journal.JournalBroken:
            raise
        except Exception as error:
            self._complain(ulid, error)
            failed.append(ulid)
        else:
            self._complaints.pop(ulid, None)

    def _each(self, work: Work, ids: Collection[RequestId]) -> list[RequestId]:
        """Do something with requests together; by halves, if what is recorded of one fails it."""
        try:
            return work(ids)
        except Exception as error:
            if not journal.is_of_rows(error):
                raise
            listed = list(ids)
            if len(listed) == 1:
                self._complain(listed[0], error)
                return listed
        middle = len(listed) // 2
        return [*self._each(work, listed[:middle]), *self._each(work, listed[middle:])]

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
        if not ids or not self._write_results:
            return []
        return self._each(self._announce, ids)

    def _announce(self, ids: Collection[RequestId]) -> list[RequestId]:
        failed: list[RequestId] = []
        with self._journal.reading() as conn:
            loaded, _ = self.share.split(conn, request_rows.load(conn, ids))
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
        place = outcomes.place_of(record)
        ended = record.state in ENDED
        if place != "quarantine" and not self._lies(record):
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
        """Write receipts with steps again, where they still are; return those that failed."""
        if not ids or not self._write_results:
            return []
        return [one for some in self._light(ids) for one in self._each(self._renew, some)]

    def _renew(self, ids: Collection[RequestId]) -> list[RequestId]:
        failed: list[RequestId] = []
        with self._journal.reading() as conn:
            loaded = request_rows.load(conn, ids)
            steps = step_rows.steps_of(conn, ids)
            told = telling.read(conn, loaded, steps)
        with self.teller.telling(told) as tell:
            for record in telling.by_writer(loaded):
                with self._apart(record.id, failed):
                    if self.teller.is_newest(record) and record.state in _DETAILED:
                        tell(record, steps[record.id])
        return failed

    def has_file(self, record: request_rows.Record) -> bool:
        """Return True if a refused request's file can go through staging again, here."""
        places = *_CLOSED, "active"  # from which it moves to its place
        owners = {self._spool.owner(place, record.id, record.name) for place in places}
        # It would be judged as its owner's: the service's, if it is a copy of a manifest's line, or
        # those of who has the uid by now.
        return record.uid in owners and is_called(record.uid, record.writer)

    def _lies(self, record: request_rows.Record) -> bool:
        places = *_MOVING, *_CLOSED
        return any(self._spool.lies(place, record.id, record.name) for place in places)

    def resubmit(self, ulid: RequestId) -> bool:
        """Put a refused file through staging again, if it is to go. Return False if that failed."""
        with self._journal.reading() as conn:
            asked = request_rows.load(conn, event_rows.with_event(conn, [ulid], "resubmitted"))
            mine, _ = self.share.split(conn, asked)
        failed: list[RequestId] = []
        for record in mine.values():
            with self._apart(ulid, failed):
                for place in _CLOSED:
                    self._spool.discard_result(place, ulid, record.name)
                    self._spool.return_to_staging(ulid, place, record.name)
        return not failed

    def reject(self, rejected: Rejected) -> None:
        """Record that a file was not even read, and why. `settle` then sets it aside."""
        now = self.now()
        row = outcomes.unread(rejected, now, self._spool.identity)
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
        self.strikes.look()
        ids = {ulid for place in _MOVING for ulid in self._spool.listed(place)}
        failed = self._spool.listed("failed")
        with self._journal.reading() as conn:
            known = request_rows.states_of(conn, ids)
            states = request_rows.states_of(conn, failed)
            astray = {ulid for ulid, state in states.items() if outcomes.PLACE[state] != "failed"}
            astray |= replaced.fixed_among(conn, failed)
            resubmitted = event_rows.with_event(conn, failed, "resubmitted")
        moving = [*known, *(astray - known.keys())]
        again: list[RequestId] = []
        for start in range(0, len(moving), telling.PORTION):
            again += self.settle(moving[start : start + telling.PORTION])
        unjudged = sorted(ids - known.keys())
        for ulid in unjudged:
            self._return(ulid, alone=len(unjudged) == 1)
        self.strikes.keep()
        for ulid in resubmitted:
            self.resubmit(ulid)
        with self._journal.reading() as conn:
            since = event_rows.flushed(conn, self.share.since())
        again += self._repair(since) + self._tell_since(since)
        with self._journal.reading() as conn:
            again += self.share.missed(conn)
        self._spool.remove_leftovers()
        return again

    def _return(self, ulid: RequestId, *, alone: bool) -> None:
        """Return a file to staging that was not judged when the service died.

        A file of which the service died several times is set aside instead.
        """
        count, taken = 0, self._spool.taken(ulid)
        if taken is not None:
            name, status = taken
            count = self.strikes.strike(status, self._spool.now() - status.st_ctime, alone=alone)
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

    def _tell_since(self, since: float) -> list[RequestId]:
        """Write receipts again of whom others closed or opened since a time: it was not heard, or
        a kill came first. Return the requests of which some could not be told."""
        with self._journal.reading() as conn:
            moved = closed.moved_since(conn, since)
            told = closed.told_by(conn, moved.values())
        stale = self.renew(told)
        with self._journal.reading() as conn:
            return closed.told_in(conn, moved, stale)

    def _repair(self, since: float) -> list[RequestId]:
        """Repair what was not flushed: files that are in staging again, results and receipts."""
        with self._journal.reading() as conn:
            ids = event_rows.recent(conn, since)
        latest = telling.latest(self._journal, ids)
        failed: list[RequestId] = []
        for start in range(0, len(ids), telling.PORTION):
            for some in self._light(ids[start : start + telling.PORTION]):
                failed += self._each(partial(self._repair_some, latest), some)
        return failed

    def _repair_some(
        self, latest: Collection[RequestId], ids: Collection[RequestId]
    ) -> list[RequestId]:
        """latest: the newest request for each name of a receipt."""
        failed: list[RequestId] = []
        with self._journal.reading() as conn:
            mine, _ = self.share.split(conn, request_rows.load(conn, ids))
            loaded = mine.values()
            bare = [record for record in loaded if self._is_bare(record)]
            no_result = bare if self._write_results else []
            behind = [r for r in loaded if r.id in latest and self.teller.is_behind(r)]
            no_receipt = {r.id: r for r in behind if self._write_results}
            # What has no file of its own is found by nothing else.
            failed += [i for i, r in no_receipt.items() if r.state in ENDED and not self._lies(r)]
            steps = step_rows.steps_of(conn, [*(record.id for record in no_result), *no_receipt])
            told = telling.read(conn, no_receipt, steps)
        for record in no_result:
            with self._apart(record.id, failed):
                self._write_result(outcomes.place_of(record), record, steps[record.id])
        with self.teller.telling(told) as tell:
            for record in telling.by_writer(no_receipt):
                with self._apart(record.id, failed):
                    tell(record, steps[record.id])
        return failed

    def _is_bare(self, record: request_rows.Record) -> bool:
        """Return True if a file is in its place without its result. Take it from staging first."""
        place, known = outcomes.place_of(record), (record.uid, record.digest, record.accepted)
        if not self._spool.lies(place, record.id, record.name):
            if not record.digest:
                return False
            if not self._spool.retake(place, record.id, record.name, *known):
                return False
            log.warning(
                "%s: the power cut had left its file in staging; it is taken again", record.id
            )
        return record.state in ENDED and not self._spool.has_result(place, record.id, record.name)
