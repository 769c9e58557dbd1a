"""Retention: old data is removed a little at a time, and the chain's head goes into the log.

Promises: nothing is removed of a request without an outcome. In `failed/`, only what `outsiders`
finds excessive is removed, and a request's row stays as long as its file is there, or something
rests on it (`anchors`), and until it expires. The highest number of an `order` is never forgotten.
A person who is no longer a writer loses access to their receipts within a minute (`readers`). The
journal is locked for one small portion at a time, so that the intake never waits long. Leaves out:
giving room in the database back to the file system.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from math import inf

from provisioner.config.keeping import RetentionConfig
from provisioner.journal import audit, journal
from provisioner.journal.queries import expiry
from provisioner.journal.queries.anchors import Anchors
from provisioner.journal.records import request_rows, step_rows
from provisioner.outcome import receipts
from provisioner.outcome.outsiders import Outsiders
from provisioner.outcome.readers import Readers
from provisioner.outcome.results import moment
from provisioner.outcome.telling import Share, Whole
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request
from provisioner.spool.spool import Spool
from provisioner.system import ulid as ulids
from provisioner.system.ulid import RequestId
from provisioner.system.users import KNOWN_FOR

log = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between heads in the log, and between looks for old data."""

FIRST = 60.0
"""Seconds until the first look: a service that starts has other things to do."""

SOON = 1.0
"""Seconds before data of outsiders is looked at: it arrives by the hundred."""

PAUSE = 0.05
"""Seconds between portions."""

_FILES = 256
_LOOKED_AT = 500
_REQUESTS = 25
_EVENTS = 500
_DAY = 86400.0
_DONE = "done"
_NEEDED = ("active", "deferred", "held", "failed", "quarantine")
"""Directories in which a file still needs its request's row."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Needed:
    """Old requests that stay. files: those whose file still needs its row."""

    files: Set[RequestId]
    anchors: Anchors


class Keeper:
    """Works in a thread of its own between `start` and `stop`."""

    def __init__(self, spool: Spool, book: journal.Journal, limits: RetentionConfig) -> None:
        self._spool = spool
        self._journal = book
        self._limits = limits
        self.now: Callable[[], float] = time.time
        """Returns the time by which old data may be removed."""
        self.share: Share = Whole()
        """Says whose rows go from here: a row stays as long as its file is there."""
        self.outsiders: Outsiders | None = None
        """Removes what exceeds a limit, whatever its age."""
        self._readers = Readers(spool.receipts)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention")

    def start(self) -> None:
        """Start working."""
        self.pin()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current portion."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()
        self.pin()

    def pin(self) -> None:
        """Log the head of the chain of events, for `provisioner audit verify --head`."""
        try:
            with self._journal.reading() as conn:
                head = audit.head(conn)
        except journal.JournalBroken:
            return  # the service ends, and says why
        except Exception:
            log.exception("the head of the audit trail could not be read")
        else:
            if head.seq:  # a new journal has no event that could be rewritten
                log.info("audit head %s %s", head, moment(head.at))

    def prune(self, now: float | None = None) -> None:
        """Remove all data that is old enough; a failure is tried again next time."""
        try:
            for _ in self.portions(self.now() if now is None else now):
                if self._stopping.wait(PAUSE):
                    return
        except journal.JournalBroken:
            return  # the service ends, and says why
        except Exception:
            log.exception("old data could not be removed; trying again in an hour")

    def portions(self, now: float) -> Iterator[int]:
        """Remove all data that is old enough, in portions; yield the size of each."""
        yield from self._prune_files(now)
        yield from self._prune_requests(now)
        yield from self._prune_receipts(now)
        yield from self._prune_events(now)
        if self.outsiders is not None:
            yield from self.outsiders.portions()

    def hasten(self) -> None:
        """Look at once whether outsiders have left too much, and not only after an hour."""
        self._woken.set()

    def _run(self) -> None:
        pinned = time.monotonic()
        look = pinned + FIRST
        self.revise_readers()
        revised = pinned + KNOWN_FOR
        while not self._stopping.is_set():
            if time.monotonic() >= revised:
                self.revise_readers()
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

    def revise_readers(self) -> None:
        """Take the receipts away from people who are no longer writers."""
        try:
            self._readers.revise()
        except journal.JournalBroken:
            return  # the service ends, and says why
        except Exception:
            log.exception("the readers of receipts could not be checked; trying again in a minute")

    def _look_at_outsiders(self) -> None:
        """Remove what they left, and soon afterwards what was still moving then."""
        self._woken.clear()
        if self.outsiders is None or self._stopping.wait(SOON):
            return
        try:
            for _ in self.outsiders.portions():
                if self._stopping.wait(PAUSE):
                    return
        except journal.JournalBroken:
            return  # the service ends, and says why
        except Exception:
            log.exception("data of outsiders could not be removed; trying again in an hour")
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
                    with suppress(FileNotFoundError):  # another intake shares the spool
                        os.unlink(entry, dir_fd=directory)
                yield len(portion)
        finally:
            os.close(directory)

    def _prune_requests(self, now: float) -> Iterator[int]:
        before = now - self._limits.journal_days * _DAY
        with self._journal.reading() as conn:
            floor = expiry.newest_beyond(conn, self._limits.journal_floor)
        # A file that was taken from staging later cannot have ended before.
        end = min(floor, ulids.first(before))
        after = ""
        needed: _Needed | None = None
        while True:
            with self._journal.reading() as conn:
                old = expiry.old(conn, before, after, end, _LOOKED_AT)
            if not old:
                return
            needed = needed or self._needed(before, end)
            with self._journal.reading() as conn:
                mine = self.share.among(conn, old, before)
                kept = needed.files | needed.anchors.among(conn, mine)
                lasting = _unexpired(request_rows.load(conn, set(mine) - kept), now)
            going = [request for request in mine if request not in kept | lasting]
            for start in range(0, len(going), _REQUESTS):
                with self._journal.reading() as conn:
                    portions = step_rows.light(conn, going[start : start + _REQUESTS])
                for some in portions:
                    with self._journal.transaction() as conn:
                        gone = expiry.forget(conn, some)
                    yield gone
            after = old[-1]

    def _needed(self, before: float, end: str) -> _Needed:
        """Find out what stays although it is old. before, end: bounds of what is old."""
        files = {request for place in _NEEDED for request in self._spool.listed(place)}

        def stays(request: RequestId, ended: float) -> bool:
            return request in files or ended >= before or request >= end

        with self._journal.reading() as conn:
            return _Needed(files, Anchors(conn, stays))

    def _prune_receipts(self, now: float) -> Iterator[int]:
        """Remove old receipts of requests that are not, or no longer, in the journal."""
        before = now - self._limits.journal_days * _DAY
        old = receipts.entries(self._spool.receipts, before)
        while portion := list(islice(old, _FILES)):
            requests = {path: receipts.request_of(path) for path in portion}
            with self._journal.reading() as conn:
                known = request_rows.states_of(conn, {ulid for ulid in requests.values() if ulid})
            gone = [path for path, ulid in requests.items() if ulid not in known]
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

    An entry's id contains the time when its file was taken, so only old ones are looked at. Moving
    a file there is the last change of its status, which no writer can set.
    """
    entries: dict[str, list[str]] = {}
    for entry in os.listdir(directory):
        ulid = entry[: ulids.LENGTH]
        if ulids.is_ulid(ulid):
            entries.setdefault(ulid, []).append(entry)
    ordered = sorted(entries)
    beyond = ordered[: max(0, len(ordered) - keep)]
    outdated = [entry for ulid in beyond for entry in entries[ulid]]
    for ulid in ordered[len(beyond) :]:
        if ulids.timestamp(ulid).timestamp() >= before:
            break
        if all(_changed(directory, entry) < before for entry in entries[ulid]):
            outdated += entries[ulid]
    return outdated


def _changed(directory: int, entry: str) -> float:
    try:
        return os.stat(entry, dir_fd=directory, follow_symlinks=False).st_ctime
    except FileNotFoundError:  # another intake shares the spool
        return inf


def _unexpired(records: Mapping[RequestId, request_rows.Record], now: float) -> set[RequestId]:
    """Return the requests that do not expire before a time: who has the bytes of a signed one could
    send it again, and only its row says that it was done. now: seconds since the epoch."""
    lasting: set[RequestId] = set()
    for name, record in records.items():
        if b"expires" not in record.body:
            continue
        with suppress(InvalidDocument):
            expires = parse_request(record.body).expires
            if expires is not None and expires.timestamp() > now:
                lasting.add(name)
    return lasting
