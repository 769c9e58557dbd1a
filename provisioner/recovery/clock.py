"""The clock: whether the time of day jumped, and corrections of the journal afterwards.

Promises: due times and waits follow the time that really passed, even if somebody sets the time of
day forward or back, by an hour or by years, while the service runs or between two starts of one
boot. Nothing is due later than its lane's longest delay from now, and ids grow over restarts.
Leaves out: `not_before` and `expires`, which do mean the time of day.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.journal import audit, facts
from provisioner.journal.journal import Connection, Journal, JournalFull
from provisioner.journal.records import request_rows, waits
from provisioner.system import ulid

log = logging.getLogger(__name__)

JUMP = 60.0
"""Seconds of difference from which a change counts as a jump: waits take minutes."""

UNSET = 600.0
"""Seconds after a boot until which the time of day may not have been set yet."""

EVENT = "clock"
"""The kind of event that says that the clock jumped."""

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Sight:
    """A reading of both clocks. boot: the boot from which `steady` counts; wall: since the epoch.

    Both are in seconds. `steady` continues while the host sleeps, and nobody can set it.
    """

    boot: str
    steady: float
    wall: float

    def __str__(self) -> str:
        return f"{self.boot} {self.steady!r} {self.wall!r}"

    @classmethod
    def parse(cls, text: str) -> Sight:
        """Read what `str` wrote. Raises ValueError."""
        boot, steady, wall = text.split(" ")
        return cls(boot, float(steady), float(wall))


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of the time of day. at: the time afterwards; by: seconds, negative for back."""

    at: float
    by: float

    def __str__(self) -> str:
        way = "forward" if self.by > 0 else "back"
        return f"the clock jumped {way} by {_duration(abs(self.by))}"


def look() -> Sight:
    """Read this host's clocks."""
    return Sight(_boot(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def jumped(before: Sight, seen: Sight) -> Jump | None:
    """Return the jump of the time of day between two readings; None if there was none."""
    if before.boot != seen.boot:
        return None
    by = (seen.wall - before.wall) - (seen.steady - before.steady)
    return Jump(seen.wall, by) if abs(by) >= JUMP else None


def last_jump(conn: Connection) -> Jump | None:
    """Return the last jump that was seen."""
    kept = facts.get(conn, facts.JUMPED)
    if kept is None:
        return None
    at, by = kept.split(" ")
    return Jump(float(at), float(by))


class Clock:
    """Tells the time to a whole service, and corrects the journal after a jump."""

    def __init__(
        self, book: Journal, longest: Mapping[str, float], look: Callable[[], Sight] = look
    ) -> None:
        """longest: the most seconds for which each lane puts anything off."""
        self._journal = book
        self._longest = longest
        self._look = look
        self._lock = threading.Lock()
        self._before = look()
        self._last: Jump | None = None

    def begin(self) -> None:
        """Continue from the journal's last reading, before anything is taken or drained."""
        seen = self._look()
        with self._journal.reading() as conn:
            kept, self._last = facts.get(conn, facts.CLOCK), last_jump(conn)
            last = request_rows.last_id(conn)
            ahead = waits.clock_was_ahead(conn, seen.wall, self._longest)
        ulid.follow(last)
        self._before = Sight.parse(kept) if kept else seen
        if not last:  # nothing waits: a new journal gets its first reading with its first request
            return
        if jumped(self._before, seen):
            self.now()
            return
        noted = kept is not None and self._before.boot == seen.boot
        if noted and not ahead:
            return
        try:
            with self._journal.transaction() as conn:
                late = waits.set_clock(conn, seen.wall, seen.wall, self._longest)
                if late:
                    text = f"{late} waits were longer than possible: the clock had been ahead"
                    log.warning("%s", text)
                    audit.append(conn, [audit.Event(None, EVENT, text)], seen.wall)
                if not noted:
                    facts.put(conn, facts.CLOCK, str(seen))
        except JournalFull as error:
            log.error("the check for a clock jump is postponed: %s", error)
        if self._before.boot != seen.boot:
            self._before = seen

    def now(self) -> float:
        """Return the time of day; correct the journal first if it jumped. For any thread."""
        with self._lock:
            seen = self._look()
            jump = jumped(self._before, seen)
            if jump is not None:
                self._correct(jump, seen)
            return seen.wall

    def settled(self) -> float:
        """Return the time by which old data may be removed for good.

        For a day after a jump forward, this is the time without the jump, which may be a mistake.
        """
        now, last = self.now(), self._last
        doubted = last is not None and last.by > 0 and 0 <= now - last.at < _DAY
        return now - last.by if last is not None and doubted else now

    def dated(self) -> float:
        """Return the time by which access ends: as `settled`, and none soon after a boot.

        A host may begin with any time of day, until somebody or some program sets it.
        """
        return self.settled() if self._look().steady >= UNSET else 0.0

    def _correct(self, jump: Jump, seen: Sight) -> None:
        with self._journal.transaction() as conn:
            waits.set_clock(conn, seen.wall - jump.by, seen.wall, self._longest)
            facts.put(conn, facts.CLOCK, str(seen))
            facts.put(conn, facts.JUMPED, f"{jump.at!r} {jump.by!r}")
            audit.append(conn, [audit.Event(None, EVENT, str(jump))], seen.wall)
        log.warning("%s: waits continue by the time that really passed", jump)
        self._before, self._last = seen, jump


def _duration(seconds: float) -> str:
    for unit, size in (("days", _DAY), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _boot() -> str:
    if not _boot_id:
        _boot_id.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    return _boot_id[0]


_boot_id: list[str] = []
