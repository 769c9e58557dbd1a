"""Placement: which lanes are drained in this process, and how those are woken that are not.

Promises: a service knows no more of it than this. With one process all lanes are here, each in a
thread. Leaves out: the others' ways (`elsewhere`, `jobs`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from provisioner.convergence import threads
from provisioner.convergence.lanes import Lane
from provisioner.journal.hosts import presence
from provisioner.journal.journal import Journal

Lanes = Mapping[str, Lane]


class Placement(Protocol):
    """Where lanes are drained."""

    def enter(self) -> None:
        """Begin to serve the journal: from here on its transactions are this process's, or its too.

        Raises ConfigError if others object.
        """

    def start(self, lanes: Lanes, stopping: threading.Event) -> None:
        """Drain those lanes that are this process's, until `stop`. stopping: the process is to end
        before all have begun."""

    def wake(self, lanes: Collection[Lane]) -> None:
        """Wake those of some lanes that have something due, wherever they are drained."""

    def begin(self, lanes: Lanes, begun: Mapping[str, bool]) -> None:
        """Wake the lanes of instances whose objects became due; see `convergence.threads.begin`."""

    def has(self, lane: str) -> bool:
        """Return True if a lane is drained here, so that its backend may be asked."""

    def alive(self) -> bool:
        """Return True if what `start` began still runs."""

    def stop(self) -> None:
        """End after the current drains."""

    def raise_lost(self) -> None:
        """Raise the error by which the other processes were lost, if they were."""


class Here:
    """All lanes, each in a thread: a process that serves alone."""

    def __init__(self, book: Journal) -> None:
        self._journal = book
        self._lanes: Lanes = {}
        self._threads: list[threading.Thread] = []

    def enter(self) -> None:
        """Forget those who died: the locks of its start keep others out."""
        presence.clear(self._journal)

    def start(self, lanes: Lanes, stopping: threading.Event) -> None:
        """Start the threads."""
        self._lanes = lanes
        self._threads = threads.of_lanes(lanes.values())
        for thread in self._threads:
            threads.started(thread.start, stopping)

    def wake(self, lanes: Collection[Lane]) -> None:
        """Wake their threads."""
        threads.wake(self._journal, lanes)

    def begin(self, lanes: Lanes, begun: Mapping[str, bool]) -> None:
        """Wake their threads, one after the other."""
        threads.begin(lanes, begun)

    def has(self, lane: str) -> bool:
        """Return True."""
        return True

    def alive(self) -> bool:
        """Return True if each thread runs."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End the threads."""
        threads.end(self._lanes.values(), self._threads)

    def raise_lost(self) -> None:
        """Do nothing: there are no others."""


def woken(book: Journal, lanes: Collection[Lane], has: Callable[[str], bool]) -> list[str]:
    """Wake those of some lanes that have something due and are here; return the others' names."""
    due = threads.due(book, lanes)
    for lane in due:
        if has(lane.name):
            lane.wake()
    return [lane.name for lane in due if not has(lane.name)]


def began(lanes: Lanes, begun: Mapping[str, bool]) -> list[str]:
    """Return the names of the lanes of some instances."""
    return [name for name, lane in lanes.items() if not lane.instances.isdisjoint(begun)]
