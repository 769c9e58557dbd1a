"""Retention: what is old enough goes, a little at a time, and the chain's head goes to the log.

Promises: nothing goes whose request has no outcome; nothing in `failed/` goes by itself but what
`outsiders` has too much of, and no row of a request whose file still lies there; the highest number
of an `order` is never forgotten; who is no longer a writer is shut out of their receipts within a
minute (`readers`). The journal is held for one small portion at a time, so the intake never waits
for long. Leaves out: giving room in the database back to the file system.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice

from provisioner.config.schema import RetentionConfig
from provisioner.journal import audit, journal
from provisioner.journal.queries import expiry
from provisioner.journal.records import request_rows
from provisioner.outcome import receipts
from provisioner.outcome.outsiders import Outsiders
from provisioner.outcome.readers import Readers
from provisioner.outcome.results import moment
from provisioner.spool.spool import Spool
from provisioner.system import ulid as ulids
from provisioner.system.users import KNOWN_FOR

log = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between heads in the log, and between looks for what is old."""

FIRST = 60.0
"""Seconds until the first look: a service that starts has other things to do."""

SOON = 1.0
"""Seconds until what outsiders leave is looked at: it comes by the hundred."""

PAUSE = 0.05
"""Seconds between portions."""

_FILES = 256
_REQUESTS = 25
_EVENTS = 500
_DAY = 86400.0
_DONE = "done"
_NEEDED = ("active", "deferred", "held", "failed", "quarantine")
"""Where a file may lie that still needs its request's row."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Keeper:
    """Works in a thread of its own between `start` and `stop`."""

    def __init__(self, spool: Spool, book: journal.Journal, limits: RetentionConfig) -> None:
        self._spool = spool
        self._journal = book
        self._limits = limits
        self.now: Callable[[], float] = time.time
        """Tells by which time what is old may go."""
        self.outsiders: Outsiders | None = None
        """Removes what is too much, whatever its age."""
        self._readers = Readers(spool.receipts)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention")

    def start(self) -> None:
        """Begin to work."""
        self.pin()
        self._thread.start()

    def stop(self) -> None:
        """End after the portion that is under way."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()
        self.pin()

    def pin(self) -> None:
        """Log the head of the chain of events, for `provisioner audit verify --head`."""
        try:
            with self._journal.reading() as conn:
                head = audit.head(conn)
        except Exception:
            log.exception("the head of the audit trail could not be read")
        else:
            log.info("audit head %s %s", head, moment(head.at))

    def prune(self, now: float | None = None) -> None:
        """Remove all that is old enough; what cannot be removed is tried again the next time."""
        try:
            for _ in self.portions(self.now() if now is None else now):
                if self._stopping.wait(PAUSE):
                    return
        except Exception:
            log.exception("what is old could not be removed; trying again in an hour")

    def portions(self, now: float) -> Iterator[int]:
        """Remove all that is old enough, portion by portion; give how much each was."""
        yield from self._prune_files(now)
        yield from self._prune_requests(now)
        yield from self._prune_receipts(now)
        yield from self._prune_events(now)
        if self.outsiders is not None:
            yield from self.outsiders.portions()

    def hasten(self) -> None:
        """Say that outsiders may have left too much, and not to wait for the hour."""
        self._woken.set()

    def _run(self) -> None:
        pinned = time.monotonic()
        look = pinned + FIRST
        self._revise_readers()
        revised = pinned + KNOWN_FOR
        while not self._stopping.is_set():
            if time.monotonic() >= revised:
                self._revise_readers()
                revised = time.monotonic() + KNOWN_FOR
            if self._woken.wait(max(0.0, min(look, revised) - time.monotonic())):
                self._look_at_outsiders()
                continue
            if time.monotonic() < look:
                continue
            if time.monotonic() - pinned >= EVERY:
                pinned = time.monotonic()
                self.pin()
            self.prune()
            look = pinned + EVERY

    def _revise_readers(self) -> None:
        try:
            self._readers.revise()
        except Exception:
            log.exception("it was not looked whom receipts let in; trying again in a minute")

    def _look_at_outsiders(self) -> None:
        """Remove what they left, and a little later what has only come to its place by then."""
        self._woken.clear()
        if self.outsiders is None or self._stopping.wait(SOON):
            return
        try:
            for _ in self.outsiders.portions():
                if self._stopping.wait(PAUSE):
                    return
        except Exception:
            log.exception("what outsiders left could not be removed; trying again in an hour")
            return
        if self.outsiders.unsettled:
            self._woken.set()

    def _prune_files(self, now: float) -> Iterator[int]:
        directory = os.open(self._spool.root / _DONE, _DIRECTORY)
        try:
            before = now - self._limits.done_days * _DAY
            old = _outdated(directory, before, self._limits.done_count)
            for start in range(0, len(old), _FILES):
                portion = old[start : start + _FILES]
                for entry in portion:
                    os.unlink(entry, dir_fd=directory)
                yield len(portion)
        finally:
            os.close(directory)

    def _prune_requests(self, now: float) -> Iterator[int]:
        before = now - self._limits.journal_days * _DAY
        needed: set[str] | None = None
        after = ""
        with self._journal.reading() as conn:
            floor = expiry.newest_beyond(conn, self._limits.journal_floor)
        # Who was taken from staging later cannot have ended before.
        end = min(floor, ulids.first(before))
        while True:
            with self._journal.reading() as conn:
                old = expiry.old(conn, before, after, end, _REQUESTS)
            if not old:
                return
            if needed is None:
                needed = {who for place in _NEEDED for who in self._spool.listed(place)}
            with self._journal.transaction() as conn:
                gone = expiry.forget(conn, [who for who in old if who not in needed])
            after = old[-1]
            yield gone

    def _prune_receipts(self, now: float) -> Iterator[int]:
        """Remove old receipts of requests that the journal does not know, or no longer."""
        before = now - self._limits.journal_days * _DAY
        old = receipts.entries(self._spool.receipts, before)
        while portion := list(islice(old, _FILES)):
            told = {path: receipts.request_of(path) for path in portion}
            with self._journal.reading() as conn:
                known = request_rows.states_of(conn, {who for who in told.values() if who})
            gone = [path for path, who in told.items() if who not in known]
            for path in gone:
                path.unlink(missing_ok=True)
            yield len(gone)

    def _prune_events(self, now: float) -> Iterator[int]:
        before = now - self._limits.events_days * _DAY
        while True:
            with self._journal.transaction() as conn:
                gone = audit.prune(conn, before, _EVENTS, now)
            if gone == 0:
                return
            with self._journal.reading() as conn:
                log.info("audit checkpoint %s", audit.start(conn))
            yield gone


def _outdated(directory: int, before: float, keep: int) -> list[str]:
    """List the entries of a directory that came there before a time, and those beyond a number.

    An entry's id says when its file was taken from staging, so only old ones are looked at. Their
    status changed last when they were moved there, which no writer can set.
    """
    entries: dict[str, list[str]] = {}
    for entry in os.listdir(directory):
        who = entry[: ulids.LENGTH]
        if ulids.is_ulid(who):
            entries.setdefault(who, []).append(entry)
    ordered = sorted(entries)
    beyond = ordered[: max(0, len(ordered) - keep)]
    found = [entry for who in beyond for entry in entries[who]]
    for who in ordered[len(beyond) :]:
        if ulids.timestamp(who).timestamp() >= before:
            break
        if all(_changed(directory, entry) < before for entry in entries[who]):
            found += entries[who]
    return found


def _changed(directory: int, entry: str) -> float:
    return os.stat(entry, dir_fd=directory, follow_symlinks=False).st_ctime
