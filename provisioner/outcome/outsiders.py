"""Outsiders: what is kept, and told, of writers who may ask for nothing here.

Promises: of each outsider's refused files, a number of the newest stay, with result, receipt and
row. The journal has no body of any. Older ones are removed together, reported by one event a day.
Files stay that came while their writer might ask for something, or whose writer may do so now;
accepted requests always stay. Other files that an outsider leaves in staging are removed after a
day. One refusal a day gets an event, and the next one says how many came in between: an outsider
adds to the trail by days, never by files. A restart loses these counts; the service's log has each.
Leaves out: who is an outsider (`policy`), and events, which are pruned with all others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from provisioner.journal import audit
from provisioner.journal.journal import Journal
from provisioner.journal.queries import expiry
from provisioner.journal.records import request_rows
from provisioner.objects.states import RequestState
from provisioner.outcome import receipts
from provisioner.outcome.outcomes import receipt_name
from provisioner.outcome.telling import Share, Whole
from provisioner.spool import leftovers
from provisioner.spool.spool import Spool
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

EVENT = "outsider"
"""The kind of event that counts what outsiders left."""

DAY = 86400.0

PROBLEMS = 20
"""The most errors that are kept of an outsider's file: the first ones."""

_PORTION = 500

_ORPHANED = 86400.0
"""Seconds after which a file without a request is removed: requests are read within minutes."""

_PLACES = ("failed", "quarantine", "done")
"""Where their files may be; in `done/` are those that somebody dismissed or replaced by name."""


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Reduce an outsider's refused request to what its result needs."""
    return {**row, "body": b"", "problems": row["problems"][:PROBLEMS]}


class Outsiders:
    """Removes what exceeds a limit, for one thread."""

    def __init__(
        self, spool: Spool, book: Journal, keep: int, is_outsider: Callable[[int], bool]
    ) -> None:
        """keep: refused files of each outsider; is_outsider: returns True for a uid, as of now."""
        self._spool = spool
        self._journal = book
        self._keep = keep
        self._is_outsider = is_outsider
        self._daily = Daily()
        self.share: Share = Whole()
        """Says whose files lie here."""
        self.now: Callable[[], float] = time.time
        """Returns the time of day, as the journal has it."""
        self.unsettled = False
        """True if a file is still on its way to its place, and needs another look."""

    def portions(self) -> Iterator[int]:
        """Remove excess files in portions; yield the number of files in each."""
        self.unsettled = False
        with self._journal.reading() as conn:
            counted = expiry.refused_counts(conn)
        for uid, count in counted.items():
            if count <= self._keep or not self._is_outsider(uid):
                continue
            with self._journal.reading() as conn:
                ids = expiry.refused_beyond(conn, uid, self._keep)
            for start in range(0, len(ids), _PORTION):
                yield self._remove(ids[start : start + _PORTION])
        yield from self._clear_staging()

    def _clear_staging(self) -> Iterator[int]:
        """Remove other files that have been in staging for a day: nobody will read them."""
        before = self._spool.now() - _ORPHANED
        gone: dict[int, int] = {}
        for name, uid in leftovers.no_requests(self._spool.staging, before):
            if self._is_outsider(uid) and leftovers.discard(self._spool.staging, name):
                gone[uid] = gone.get(uid, 0) + 1
        for uid, number in gone.items():
            log.warning(
                "removed %d files of uid %d from staging that are not requests", number, uid
            )
            yield number

    def _remove(self, ids: Sequence[RequestId]) -> int:
        """Remove files, results and receipts before their rows: a crash leaves no file."""
        with self._journal.reading() as conn:
            mine, _ = self.share.split(conn, request_rows.load(conn, ids))
            loaded = list(mine.values())
            shared = expiry.with_receipts_of(conn, loaded)
        gone = [record for record in loaded if self._discard(record)]
        for record in gone:
            if (record.writer, receipt_name(record)) not in shared:
                receipts.remove(self._spool.receipts, record.writer, receipt_name(record))
        if not gone:
            return 0
        writer = gone[-1].writer
        uid, now = gone[-1].uid, self.now()
        self._daily.add(uid, len(gone))
        with self._journal.transaction() as conn:
            expiry.forget_refused(conn, [record.id for record in gone])
            if self._daily.is_time(uid, now):
                audit.append(conn, [self._removed(writer, uid, self._daily.take(uid))], now)
        log.warning("%d refused files of %s were removed", len(gone), writer)
        return len(gone)

    def _removed(self, writer: str, uid: int, number: int) -> audit.Event:
        text = (
            f"{number} refused files of {writer}, who may ask for nothing, were removed; "
            f"the newest {self._keep} are kept"
        )
        return audit.Event(None, EVENT, text, None, {"writer": writer, "uid": uid, "files": number})

    def _discard(self, record: request_rows.Record) -> bool:
        """Remove a file and its result. Return False if it is not in its place, or stays there."""
        if self._spool.lies("active", record.id, record.name):
            self.unsettled = True
            return False
        try:
            for place in _PLACES:
                self._spool.remove(place, record.id, record.name)
        except OSError as error:
            log.warning("%s of %s cannot be removed: %s", record.id, record.writer, error)
            return False
        return True


class Daily:
    """Counts by writer, each reported at most once a day."""

    def __init__(self) -> None:
        self._reported: dict[int, float] = {}
        self._counts: dict[int, int] = {}

    def is_time(self, uid: int, now: float) -> bool:
        """Return True if a writer may be reported now; this then counts as reported."""
        # A clock that was set back by more than a day silences nobody.
        if abs(now - self._reported.get(uid, now - DAY)) < DAY:
            return False
        self._reported[uid] = now
        return True

    def add(self, uid: int, number: int) -> None:
        """Count something that is not reported."""
        self._counts[uid] = self._counts.get(uid, 0) + number

    def take(self, uid: int) -> int:
        """Return a writer's count since the last time."""
        return self._counts.pop(uid, 0)


class Refusals:
    """Refused requests of outsiders, for one thread. is_outsider: returns True for their uids."""

    def __init__(self, is_outsider: Callable[[int], bool]) -> None:
        self._is_outsider = is_outsider
        self._daily = Daily()

    def judge(
        self, rows: Iterable[Mapping[str, Any]], now: float
    ) -> tuple[set[RequestId], list[audit.Event]]:
        """Return the ids of requests that get no event, and events that count earlier ones.

        rows: of the table of requests, before they are written.
        """
        quiet: set[RequestId] = set()
        counted: list[audit.Event] = []
        for row in rows:
            uid = row["uid"]
            if row["state"] != RequestState.REFUSED or not self._is_outsider(uid):
                continue
            if not self._daily.is_time(uid, now):
                self._daily.add(uid, 1)
                quiet.add(row["id"])
            elif number := self._daily.take(uid):
                text = (
                    f"{number} more refused files of {row['writer']}, who may ask for nothing, "
                    "have no event of their own"
                )
                facts = {"writer": row["writer"], "uid": uid, "files": number}
                counted.append(audit.Event(None, EVENT, text, None, facts))
        return quiet, counted
