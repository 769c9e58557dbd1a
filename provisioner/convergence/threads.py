"""Threads of the service: the lanes', how any of them starts, and from where they take memory.

Promises: where the host allows no more threads, the start waits until it does, and says so once.
Leaves out: what a thread does.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Collection, Sequence

from provisioner.convergence.lanes import Lane
from provisioner.convergence.questions import is_scarce

log = logging.getLogger(__name__)

_PAUSE = 1.0
"""Seconds between tries to start a thread."""

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


def end(lanes: Collection[Lane], threads: Sequence[threading.Thread]) -> None:
    """Stop lanes after their current work, and wait for those that were started."""
    for lane in lanes:
        lane.stop()
    for thread in threads:
        if thread.ident is not None:
            thread.join()
