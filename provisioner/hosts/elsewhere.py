"""Elsewhere: the placement of a process that takes requests, and leaves lanes to other hosts.

Promises: lanes with something due are told of, and looked at by their hosts soon in any case. Of
what other processes commit, this one hears what may concern its files. Leaves out: who drains lanes
and who keeps house (`jobs`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from provisioner.contract import ConfigError
from provisioner.convergence.lanes import Lane
from provisioner.convergence.threads import Drains
from provisioner.hosts.jobs import Jobs
from provisioner.hosts.member import CHANGED, DUE, HANDED, RENEWED, RETURNED, Member
from provisioner.hosts.placement import Lanes, began, woken
from provisioner.journal.journal import Journal
from provisioner.system.ulid import RequestId


class Hears(Protocol):
    """Who has files of requests."""

    def changed(self, ids: Collection[RequestId]) -> None:
        """File them again."""

    def renewed(self, ids: Collection[RequestId]) -> None:
        """Write their receipts again."""

    def returned(self, ids: Collection[RequestId]) -> None:
        """Put their files through staging again."""


class Elsewhere:
    """A `Placement`."""

    def __init__(self, book: Journal, member: Member, jobs: Jobs) -> None:
        """jobs: place what one of the intakes does."""
        self.hears: Hears | None = None
        self.handed: Callable[[], None] = lambda: None
        """Called when another host has handed a request on."""
        self.works: Mapping[str, Drains] = {}
        """What one of the intakes does, by name."""
        self.check: Callable[[], None] = lambda: None
        """Called once this process is one of several; raises ConfigError if it may not be."""
        self._journal = book
        self._member = member
        self._jobs = jobs
        member.heard = self.heard

    def enter(self) -> None:
        """Join the others."""
        self._member.join()
        try:
            self.check()
        except ConfigError:
            self._member.leave()
            raise

    def start(self, lanes: Lanes, stopping: threading.Event) -> None:
        """Listen, and be ready to do what one of the intakes does."""
        self._jobs.start(self.works, stopping)

    def wake(self, lanes: Collection[Lane]) -> None:
        """Tell of those that have something due."""
        self._member.tell(DUE, woken(self._journal, lanes, self.has))

    def begin(self, lanes: Lanes, begun: Mapping[str, bool]) -> None:
        """Tell of them."""
        self._member.tell(DUE, began(lanes, begun))

    def has(self, lane: str) -> bool:
        """Return False: no backend is asked here."""
        return False

    def alive(self) -> bool:
        """Return True if jobs are still taken."""
        return self._jobs.alive()

    def stop(self) -> None:
        """End in order."""
        self._jobs.stop()

    def raise_lost(self) -> None:
        """Raise the error by which the server, or the house, was lost."""
        self._jobs.raise_lost()

    def heard(self, about: str, names: list[str]) -> None:
        """Pass on what others have told."""
        if about == HANDED:
            self.handed()
            return
        if about == DUE or self.hears is None:
            self._jobs.heard(about, names)
            return
        does = {
            CHANGED: self.hears.changed,
            RENEWED: self.hears.renewed,
            RETURNED: self.hears.returned,
        }
        does[about]([RequestId(name) for name in names])
