"""Threads of the service: the lanes', one that looks every minute, how any starts, their memory.

Promises: where the host allows no more threads, the start waits until it does, and says so once.
Leaves out: what a thread does.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Protocol, TypeVar

from provisioner.convergence.calls.hold import Hold
from provisioner.convergence.calls.questions import is_scarce
from provisioner.convergence.lanes import Lane
from provisioner.journal.journal import Journal, JournalBroken
from provisioner.journal.records import object_rows

log = logging.getLogger(__name__)

Placed = TypeVar("Placed", bound="Drains")

_PAUSE = 1.0
"""Seconds between tries to start a thread."""

_LOOK = 60.0
"""Seconds between looks, and before the first: lanes start first."""

_AFTER_TROUBLE = 3600.0
"""Seconds until the next look after one that failed."""

_LAST = 5.0
"""Seconds for which the end waits for a look that is in progress."""

STAND_BACK = 0.005
"""Seconds for which a lane leaves the interpreter to others that have more before them: to look a
name up, to record that, and to begin what waited for it takes as long."""

_ARENA_MAX = -8
"""`M_ARENA_MAX` of malloc.h (glibc 2.10, mallopt(3))."""


def share_memory() -> None:
    """Have all threads take memory from one place, before any starts; with glibc alone.

    With one place for each thread, as glibc has it, what one thread no longer needs is kept from
    the others. Python runs one thread at a time, so that none waits for another one there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def started(start: Callable[[], None], stopping: threading.Event) -> bool:
    """Start a thread as soon as the host allows it. Return False if the service stops before.

    start: may be called again after it raised.
    """
    told = False
    while not stopping.is_set():
        try:
            start()
        except RuntimeError as error:
            if not is_scarce(error):
                raise
            if not told:
                log.error(
                    "this host allows the service no more threads: waiting; look at its limits "
                    "(TasksMax in the unit, ulimit -u) and at what else its user runs"
                )
            told = True
            stopping.wait(_PAUSE)
        else:
            return True
    return False


def of_lanes(lanes: Collection[Lane]) -> list[threading.Thread]:
    """Return a thread for each lane, which is not started yet."""
    return [threading.Thread(target=lane.run, name=f"lane {lane.name}") for lane in lanes]


def due(book: Journal, lanes: Collection[Placed]) -> list[Placed]:
    """Return those of some lanes that have something due, now or later."""
    with book.reading() as conn:
        return [lane for lane in lanes if object_rows.next_due(conn, lane.name) is not None]


def wake(book: Journal, lanes: Collection[Lane]) -> None:
    """Wake those of some lanes that have something due: the others would only slow them down."""
    for lane in due(book, lanes):
        lane.wake()


def begin(lanes: Mapping[str, Drains], begun: Mapping[str, bool]) -> None:
    """Wake the lanes of instances whose objects became due, and no other ones.

    lanes: by name; begun: by instance, True if a step waits for its objects. Whoever nobody waits
    for stands back for the others: what comes after them has the longest way to go.
    """
    due = [lane for lane in lanes.values() if not lane.instances.isdisjoint(begun)]
    needed = [lane for lane in due if any(begun.get(name) for name in lane.instances)]
    for lane in needed:
        lane.wake()
    for lane in due:
        if lane not in needed:
            lane.wake(STAND_BACK if needed else 0.0)


def end(lanes: Collection[Lane], threads: Sequence[threading.Thread]) -> None:
    """Stop lanes after their current work, and wait for those that were started."""
    for lane in lanes:
        lane.stop()
    for thread in threads:
        if thread.ident is not None:
            thread.join()


class Drains(Protocol):
    """What one process does at a time: a lane, or another thing that is placed as lanes are."""

    name: str
    hold: Hold

    @property
    def instances(self) -> Set[str]:
        """The instances whose objects are its."""

    def run(self) -> None:
        """Work until stopped."""

    def stop(self) -> None:
        """End `run`."""

    def wake(self, later: float = 0.0) -> None:
        """Look whether something is due, in some seconds."""


class Background(Protocol):
    """What works in threads of its own."""

    def start(self) -> None:
        """Start it. May be called again after it raised."""

    def stop(self) -> None:
        """Stop it."""


class EveryMinute:
    """A look that is taken every minute in a thread of its own, between `start` and `stop`."""

    def __init__(self, name: str, look: Callable[[], None], failed: str) -> None:
        """look: sees for itself whether something is due; failed: what the log says if it raises.

        Backends may take long to answer, so that one that is unfinished may be lost without harm.
        """
        self._look = look
        self._failed = failed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; wait a few seconds for a look that is in progress."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LAST)

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK):
            try:
                self._look()
            except JournalBroken:
                return  # the service ends, and says why
            except Exception:
                log.exception("%s; trying again in an hour", self._failed)
                if self._stopping.wait(_AFTER_TROUBLE):
                    return
