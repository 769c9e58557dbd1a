"""The clock: whether the time of day jumped, and corrections of the journal afterwards.

Promises: due times and waits follow the time that really passed, even if somebody sets the time of
day forward or back, by an hour or by years, while the service runs or between two starts of one
boot. Nothing is due later than its lane's longest delay from now, and ids grow over restarts. Who
was warned for being idle keeps the days of the warning. Dates and retention go by a time that is
never ahead because of a jump that is less than a day old.
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
from provisioner.journal.figures import idle
from provisioner.journal.journal import Connection, Journal, JournalFull
from provisioner.journal.outbox import messages
from provisioner.journal.records import request_rows, waits
from provisioner.recovery import doubts
from provisioner.recovery.doubts import Doubts
from provisioner.system import ulid

log = logging.getLogger(__name__)

JUMP = 60.0
"""Seconds of difference from which a change counts as a jump: waits take minutes."""

UNSET = 600.0
"""Seconds after a boot until which the time of day may not have been set yet."""

OFF = 7200.0
"""Seconds between readings of two boots from which the time between them may be a mistake."""

NOTED = 3600.0
"""Seconds after which the journal gets a new reading, to know later how long the host was off."""

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


@dataclass(frozen=True, slots=True)
class Doubted:
    """That the clock may be ahead. by: seconds; left: seconds until it is believed."""

    by: float
    left: float

    def __str__(self) -> str:
        by, left = _duration(self.by), _duration(self.left)
        return f"the clock may be {by} ahead: for {left}, dates and retention reckon without that"


def doubted(conn: Connection, seen: Sight) -> Doubted | None:
    """Return by how much the clock may be ahead; None: not at all, or the host booted since.

    seen: a reading of now.
    """
    before, kept = _kept(conn)
    if before is None or before.boot != seen.boot:
        return None
    by = doubts.ahead(kept, seen.steady)
    return Doubted(by, kept[-1].until - seen.steady) if by else None


def _kept(conn: Connection) -> tuple[Sight | None, Doubts]:
    """Return the journal's last reading, and what was doubted then."""
    text = facts.get(conn, facts.CLOCK)
    before = Sight.parse(text) if text is not None else None
    return before, doubts.read(facts.get(conn, facts.DOUBTED) or "")


def settled(conn: Connection, now: float) -> float:
    """Return the time by which old data may be removed, where another process keeps the clock.

    now: the time of day, as that one has it. 0 if it has not looked at its clock lately, or that
    has jumped since.
    """
    before, kept = _kept(conn)
    if before is None or not -JUMP < now - before.wall < 2 * NOTED:
        return 0.0
    return now - doubts.ahead(kept, before.steady + now - before.wall)


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
        self._noted: float | None = None
        self._doubts: Doubts = ()

    def begin(self) -> None:
        """Continue from the journal's last reading, before anything is taken or drained."""
        seen = self._look()
        with self._journal.reading() as conn:
            kept, self._doubts = _kept(conn)
            last = request_rows.last_id(conn)
            ahead = waits.clock_was_ahead(conn, seen.wall, self._longest)
        ulid.follow(last)
        self._before = kept or seen
        if kept is not None and kept.boot == seen.boot:
            self._noted = kept.steady
            if jumped(kept, seen):
                self.now()
                return
            if not ahead:
                return
        wrong = (0.0, 0.0)
        if kept is not None and kept.boot != seen.boot:
            wrong = self._booted(kept, seen)
        try:
            with self._journal.transaction() as conn:
                late = waits.set_clock(conn, seen.wall, seen.wall, self._longest)
                idle.set_clock(conn, *wrong, seen.wall)
                if late:
                    text = f"{late} waits were longer than possible: the clock had been ahead"
                    log.warning("%s", text)
                    audit.append(conn, [audit.Event(None, EVENT, text)], seen.wall)
                _keep(conn, self._line(seen), self._doubts)
            self._noted = seen.steady
        except JournalFull as error:
            log.error("the check for a clock jump is postponed: %s", error)

    def now(self) -> float:
        """Return the time of day; correct the journal first if it jumped. For any thread."""
        with self._lock:
            return self._read().wall

    def settled(self) -> float:
        """Return the time by which old data may be removed for good.

        This is the time without what is in doubt: the jumps forward of the last day, less what
        jumps back took from them, and what a boot cannot tell from a host that was off.
        """
        with self._lock:
            seen = self._read()
            self._note(seen)
            return seen.wall - doubts.ahead(self._doubts, seen.steady)

    def dated(self) -> float:
        """Return the time by which access ends: as `settled`, and none soon after a boot.

        A host may begin with any time of day, until somebody or some program sets it.
        """
        return self.settled() if self._look().steady >= UNSET else 0.0

    def sure(self) -> float:
        """Return the time by which idle people are warned: as `dated`, none while it is doubted.

        What is noted by a time without a jump is too old as soon as the jump is believed.
        """
        dated = self.dated()
        return dated if not doubts.ahead(self._doubts, self._look().steady) else 0.0

    def _read(self) -> Sight:
        seen = self._look()
        jump = jumped(self._before, seen)
        if jump is not None:
            self._correct(jump, seen)
        return seen

    def _booted(self, kept: Sight, seen: Sight) -> tuple[float, float]:
        """Begin with a clock of another boot. kept: the last reading of the former one.

        Return by how much noted times are wrong, as `doubts.wrong`.
        """
        off = seen.wall - kept.wall
        before = self._doubts = doubts.moved(self._doubts, seen.steady - kept.steady)
        doubtful = not -JUMP < off < OFF
        if doubtful:
            self._doubts = doubts.after(self._doubts, off, seen.steady)
        self._before = seen
        if self._doubts:
            passed = _duration(max(0.0, off))
            log.warning(
                "since the last boot %s passed, or the clock is wrong: %s", passed, _DOUBTED
            )
        return doubts.wrong(before, self._doubts, off, seen.steady) if doubtful else (0.0, 0.0)

    def _correct(self, jump: Jump, seen: Sight) -> None:
        doubtful = doubts.after(self._doubts, jump.by, seen.steady)
        with self._journal.transaction() as conn:
            waits.set_clock(conn, seen.wall - jump.by, seen.wall, self._longest)
            messages.set_clock(conn, seen.wall - jump.by, seen.wall)
            wrong = doubts.wrong(self._doubts, doubtful, jump.by, seen.steady)
            idle.set_clock(conn, *wrong, seen.wall)
            _keep(conn, seen, doubtful)
            facts.put(conn, facts.JUMPED, f"{jump.at!r} {jump.by!r}")
            audit.append(conn, [audit.Event(None, EVENT, str(jump))], seen.wall)
        log.warning("%s: waits continue by the time that really passed", jump)
        self._before, self._noted, self._doubts = seen, seen.steady, doubtful
        if doubtful:
            log.warning("the clock may be ahead: %s", _DOUBTED)

    def _note(self, seen: Sight) -> None:
        """Give the journal a reading now and then."""
        if self._noted is not None and seen.steady - self._noted < NOTED:
            return
        try:
            with self._journal.transaction() as conn:
                _keep(conn, self._line(seen), self._doubts)
        except JournalFull:
            return  # the service says so itself
        self._noted = seen.steady

    def _line(self, seen: Sight) -> Sight:
        """Return a reading as if the clock had not gone astray since the last jump.

        So what is too little for a jump adds up until it is one.
        """
        before = self._before
        return Sight(seen.boot, seen.steady, before.wall + seen.steady - before.steady)


ADVICE = (
    "compare `date -u` with another host. If this clock is wrong, set it before then: "
    "chronyc makestep, or timedatectl set-time. If it is right, nothing: dates count a day late"
)
"""What to do about a clock that may be ahead."""

_DOUBTED = f"for a day, dates and retention reckon without it; {ADVICE}"


def _keep(conn: Connection, seen: Sight, doubted: Doubts) -> None:
    facts.put(conn, facts.CLOCK, str(seen))
    facts.put(conn, facts.DOUBTED, doubts.written(doubted))


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
