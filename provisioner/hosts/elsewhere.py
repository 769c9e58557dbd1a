"""Elsewhere: the placement of a process that takes requests, and leaves lanes to other hosts.

Promises: lanes with something due are told of, and looked at by their hosts soon in any case. What
no handler serves, and so needs no backend, is ended here. Leaves out: who drains them (`jobs`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping

from provisioner.convergence.lanes import Lane
from provisioner.hosts.member import CHANGED, DUE, Member
from provisioner.hosts.placement import Here, Lanes, began, woken
from provisioner.journal.journal import Journal
from provisioner.journal.records import waits
from provisioner.recovery.backup import Copier
from provisioner.system.ulid import RequestId


class Elsewhere:
    """A `Placement`."""

    def __init__(self, book: Journal, member: Member) -> None:
        self.changed: Callable[[list[RequestId]], None] = lambda ids: None
        """Gets the requests that lanes of other hosts have changed."""
        self._journal = book
        self._member = member
        self._unserved = Here(book)
        member.heard = self._heard

    def enter(self, copier: Copier) -> None:
        """Join the others; there are copies, and no redo log."""
        copier.make_way()
        self._member.join()

    def start(self, lanes: Lanes, stopping: threading.Event) -> None:
        """Listen, and drain what no handler serves."""
        self._member.start()
        self._unserved.start({n: lane for n, lane in lanes.items() if self.has(n)}, stopping)

    def wake(self, lanes: Collection[Lane]) -> None:
        """Tell of those that have something due."""
        self._member.tell(DUE, woken(self._journal, lanes, self.has))

    def begin(self, lanes: Lanes, begun: Mapping[str, bool]) -> None:
        """Tell of them."""
        self._member.tell(DUE, began(lanes, begun))

    def has(self, lane: str) -> bool:
        """Return True for the lane without a backend."""
        return lane == waits.UNSERVED

    def alive(self) -> bool:
        """Return True if what needs no backend is drained."""
        return self._unserved.alive()

    def stop(self) -> None:
        """End in order."""
        self._unserved.stop()
        self._member.leave()
        self._member.stop()

    def raise_lost(self) -> None:
        """Raise the error by which the server was lost."""
        self._member.raise_lost()

    def _heard(self, about: str, names: list[str]) -> None:
        if about == CHANGED:
            self.changed([RequestId(name) for name in names])
