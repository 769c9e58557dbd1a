"""The drainer: a service without an intake, for the lanes of backends that are near this host.

Promises: it drains its lanes as any service does, by the server's time of day, and follows what
operators say there within a beat. While its configuration says `mode: observe` it writes to no
backend, whoever keeps house. Leaves out: files, house-keeping, and which host has which lane
(`jobs`).
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack

from provisioner.contract import ConfigError, Handler
from provisioner.convergence import recording, threads
from provisioner.convergence.lanes import Drained, Lane, lanes_of
from provisioner.convergence.next_try import Patience
from provisioner.hosts.member import Member
from provisioner.hosts.placement import Placement
from provisioner.journal.records import object_rows
from provisioner.policy.gradual import Closings
from provisioner.recovery import startup
from provisioner.system.sd_notify import Notifier
from provisioner.wiring import System

log = logging.getLogger(__name__)


class Drainer:
    """Drains some lanes until it is stopped, or loses the others."""

    def __init__(
        self, system: System, names: Collection[str], member: Member, placement: Placement
    ) -> None:
        """names: of lanes. Raises ConfigError if one is not configured."""
        self._system = system
        self._journal = system.journal
        self._member = member
        self._placement = placement
        self._stopping = threading.Event()
        self.beside: Sequence[threads.Background] = ()
        """What runs as long as lanes are drained."""
        lanes = lanes_of(system.handlers)
        unknown = sorted(set(names) - lanes.keys())
        if unknown:
            raise ConfigError(
                f"no handler on {member.name} has the lane {', '.join(unknown)}",
                advice=f"--lanes takes one or more of: {', '.join(sorted(lanes))}",
            )
        self.lanes = {name: self._lane(name, lanes[name]) for name in names}
        self._all = {name: self._lane(name, some) for name, some in lanes.items()} | self.lanes
        member.beaten, member.lost = self._follow, self.stop
        self._journal.when_broken(self.stop)

    def _lane(self, name: str, handlers: Mapping[str, Handler]) -> Lane:
        system, patience = self._system, self._system.patience.get(name, Patience())
        finish = functools.partial(self._drained, name)
        lane = Lane(name, handlers, self._journal, system.progress, finish, patience)
        lane.now, lane.weigh = self._member.now, Closings(self._journal, system.policy).too_many
        return lane

    def stop(self) -> None:
        """End `run` when the current work is done."""
        self._stopping.set()

    def run(self, notifier: Notifier | None = None) -> None:
        """Drain until stopped. Raises the error by which the others were lost."""
        notifier = notifier or Notifier({})
        self._placement.enter()
        with ExitStack() as running:
            running.callback(self._placement.stop)
            running.callback(notifier.stopping)
            self._follow()
            self._placement.start(self.lanes, self._stopping)
            for part in self.beside:
                if threads.started(part.start, self._stopping):
                    running.callback(part.stop)
            log.info("%s drains %s", self._member.name, ", ".join(sorted(self.lanes)))
            notifier.ready()
            while not self._stopping.wait(1.0):
                if self._placement.alive():
                    notifier.alive()
        self._journal.raise_broken()
        self._placement.raise_lost()

    def _follow(self) -> None:
        """Do what operators have said, and look for what is due."""
        observing = startup.observes(self._journal, self._system.config)
        with self._journal.reading() as conn:
            rows = object_rows.lane_rows(conn)
        for name, lane in self.lanes.items():
            row = rows.get(name)
            lane.paused = row is not None and row["paused_by"] is not None
            lane.observing = observing
            lane.wake()

    def _drained(self, lane: str, drained: Drained) -> None:
        self._placement.begin(self._all, drained.begun)
        recording.deferred(self._journal, self._all[lane].hold, drained.later)
