"""A site whose intake is on one host, and whose lanes are on another, all in one process.

Promises: real journal on a server, real intake and lanes, with the leases by which hosts know whose
a lane is. Whoever takes the lanes up waits until the former lease is over, by a clock that the test
moves. Leaves out: jobs, which choose who takes a lane up, and threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from weakref import finalize

from provisioner.cli import sharing
from provisioner.config import schema as configuration
from provisioner.convergence.lanes import Lane
from provisioner.hosts.drainer import Drainer
from provisioner.hosts.elsewhere import Elsewhere
from provisioner.hosts.jobs import Jobs
from provisioner.hosts.lease import MARGIN, Held, Lease
from provisioner.hosts.member import Member
from provisioner.hosts.placement import Lanes
from provisioner.house.keeping import Keeping
from provisioner.journal.hosts import holds
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.hosts.presence import HOUSE, INTAKE, lanes_role
from provisioner.spool.spool import Spool
from provisioner.wiring import System
from tests.support import databases
from tests.support.engine_site import Site
from tests.support.waiting import LONGEST

LEASE = 10.0
NAMES = ("first", "second")


class Clock:
    """Counts seconds as the test says, and never stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        self.now += 1e-6
        return self.now


class Driven:
    """A `Placement` of lanes that the test drains itself."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def enter(self) -> None:
        """Join the others."""
        self._member.join()

    def start(self, lanes: Lanes, stopping: threading.Event) -> None:
        """Do nothing."""

    def wake(self, lanes: Collection[Lane]) -> None:
        """Do nothing."""

    def begin(self, lanes: Lanes, begun: Mapping[str, bool]) -> None:
        """Do nothing."""

    def has(self, lane: str) -> bool:
        """Return True."""
        return True

    def alive(self) -> bool:
        """Return True."""
        return True

    def stop(self) -> None:
        """Do nothing."""

    def raise_lost(self) -> None:
        """Do nothing."""


@dataclass
class Slow:
    """The hold of a lane whose process may freeze, for long, before a call that writes."""

    held: Held
    meanwhile: Callable[[], None] | None = None
    """What others do while it is frozen, the next time that it is about to write."""
    after: int = 0
    """How many times it asks before that."""

    def __post_init__(self) -> None:
        self.check, self.tell = self.held.check, self.held.tell

    def sure(self) -> None:
        """Ask, and freeze."""
        self.held.sure()
        if self.meanwhile is None:
            return
        if self.after:
            self.after -= 1
            return
        meanwhile, self.meanwhile = self.meanwhile, None
        meanwhile()


class Apart(Site):
    """The site; `near` has the lanes."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self._numbers = count(1)
        super().__init__(root)

    def configure(self, text: str) -> None:
        """Write the configuration, with the journal on a server."""
        path = self.root / "provisioner.yaml"
        path.write_text(databases.on_server(text, self.root))
        self.config = configuration.load(path)

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes, and the one of what needs no backend, which the house has."""
        unserved = self.keeping._unserved
        return {**self.near.drainer.lanes, unserved.name: unserved}

    def start(self) -> None:
        """Start the intake, as after a crash, and lanes the first time."""
        self.system = self.built()
        self.spool = Spool.open(self.config.spool)
        finalize(self, self.spool.close)
        self.member = self.joining(self.system, INTAKE)
        jobs = Jobs(self.system.journal, str(self.config.journal), self.member)
        self.service = sharing.among(self.system, self.spool, self.member, jobs)
        assert isinstance(self.service.placement, Elsewhere)
        keeping = self.service.placement.works[HOUSE]
        assert isinstance(keeping, Keeping) and keeping._house is not None
        self.keeping, self.service.house = keeping, keeping._house
        finalize(self, keeping._system.journal.close)
        self.service.recover()
        self._keep_house()
        if not hasattr(self, "near"):
            self.replace_lanes()

    def _keep_house(self) -> None:
        """Take the house up, after the lease of who had it."""
        with self.system.journal.transaction() as conn:
            holder = holds.take_up(conn, HOUSE, self.member.name, time.time())
        if holder.host is not None:
            self.clock.now += MARGIN * LEASE
        lease = self.member.lease
        self.keeping.hold = Held(HOUSE, holder.epoch, lease, self.member.tell_changed)
        self.keeping.enter()

    def take(self) -> None:
        """Let the intake take the files in staging, and the house do what is due."""
        while self.service.take() or self.keeping.work():
            self.service.clerk.catch_up()

    def joining(self, system: System, roles: str) -> Member:
        """Return a process of another host than all before."""
        finalize(self, system.journal.close)
        made = Member(system.journal, roles, LEASE)
        made.name = f"host{next(self._numbers)}"
        made.lease = Lease(made._ask, LEASE, self.clock)
        finalize(self, made.stop)
        return made

    def die(self) -> None:
        """End the intake as the kernel does."""
        self.spool.close()
        self.system.journal.close()
        self.keeping._system.journal.close()
        self.member.stop()

    def replace_lanes(self) -> None:
        """Have another host take the lanes up, after the lease of who has them."""
        self.near = Near(self)

    def catch_up(self) -> None:
        """Let the intake hear what lanes have done, and put files in their places."""
        mark = ["mark", str(next(self._numbers))]
        self.member.tell(mark[0], mark[1:])
        for news in self.member._wire.news(LONGEST):
            about, *names = news.split("\n")
            if [about, *names] == mark:  # what was told before has come before
                break
            about, _, teller = about.partition(" ")
            if teller != self.member.token:
                self.member.heard(about, names)
        super().catch_up()


class Near:
    """The process that has the lanes, or had them."""

    def __init__(self, site: Apart) -> None:
        self.system = site.built()
        self.member = site.joining(self.system, lanes_role(NAMES))
        self.drainer = Drainer(self.system, NAMES, self.member, Driven(self.member))
        self.member.join()
        self.drainer._follow()
        self.holds: dict[str, Slow] = {}
        for name, lane in self.drainer.lanes.items():
            with self.system.journal.transaction() as conn:
                holder = holds.take_up(conn, name, self.member.name, time.time())
            if holder.host is not None:
                site.clock.now += MARGIN * LEASE
            held = Held(name, holder.epoch, self.member.lease, self.member.tell_changed)
            self.holds[name] = lane.hold = Slow(held)

    def die(self) -> None:
        """End as the kernel does."""
        self.system.journal.close()
        self.member.stop()

    def freeze(self, lane: str, meanwhile: Callable[[], None] | None, after: int = 0) -> None:
        """Let it freeze when it has asked whether it may write for a lane, some times after the
        next one. meanwhile: what others do."""
        self.holds[lane].meanwhile, self.holds[lane].after = meanwhile, after

    def drain(self) -> None:
        """Drain all lanes, until another host is found to have one."""
        with suppress(Overtaken):
            for lane in self.drainer.lanes.values():
                lane.drain()
