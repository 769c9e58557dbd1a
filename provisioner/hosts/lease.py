"""A lease: for how long this process may write for lanes since the journal said that it has them.

Promises: as long as a lease covers a lane, nobody who took the lane up afterwards writes for it,
because they wait until it is over. By a clock that nobody sets, and that counts the host's sleep.
Leaves out: how the journal is asked (`member`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from provisioner.contract import Fault
from provisioner.journal.hosts import holds
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.journal import Connection
from provisioner.system.ulid import RequestId

MARGIN = 1.1
"""How many leases a host waits that takes a lane up: two clocks do not run at one speed."""

_QUESTIONS = 5
"""How often a process asks on that hears too late, before it gives its lanes up."""

Epochs = Mapping[str, int]
"""The epoch of each lane, as the journal has it."""


def steady() -> float:
    """Return seconds since the boot of this host."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """What the journal said last."""

    def __init__(
        self, ask: Callable[[], Epochs], seconds: float, clock: Callable[[], float] = steady
    ) -> None:
        """ask: reads the epochs now; seconds: how long that counts."""
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._said: tuple[float, Epochs] = (float("-inf"), {})

    def renew(self) -> None:
        """Ask the journal. Raises what asking raises."""
        at = self._clock()  # before the question: the answer may be this old
        said = at, self._ask()
        if at > self._said[0]:
            self._said = said

    def covers(self, lane: str, epoch: int) -> bool:
        """Return True if nobody else may write for a lane now."""
        at, _ = self._said
        return self._clock() < at + self._seconds and self.names(lane, epoch)

    def names(self, lane: str, epoch: int) -> bool:
        """Return True if nobody else had a lane when the journal was asked last."""
        _, epochs = self._said
        return epochs.get(lane) == epoch


@dataclass(frozen=True, slots=True)
class Held:
    """The hold of a lane that this process took up. A `convergence.calls.hold.Hold`."""

    lane: str
    epoch: int
    lease: Lease
    told: Callable[[Connection, Collection[RequestId]], None]

    def sure(self) -> None:
        """Raise Overtaken unless the lease covers the lane, if need be after asking again.

        An answer that came too late to count, as on a very busy host, is no other host's lane.
        """
        for _ in range(_QUESTIONS):
            if self.lease.covers(self.lane, self.epoch):
                return
            try:
                self.lease.renew()
            except Fault as lost:
                raise Overtaken(f"lane {self.lane}: nothing more is written: {lost}") from lost
            if not self.lease.names(self.lane, self.epoch):
                text = f"lane {self.lane}: another host has it; this one writes nothing more"
                raise Overtaken(text)
        if not self.lease.covers(self.lane, self.epoch):
            raise Overtaken(f"lane {self.lane}: the journal answers later than the lease allows")

    def check(self, conn: Connection) -> None:
        """Raise Overtaken if another host has taken it up."""
        holds.check(conn, self.lane, self.epoch)

    def tell(self, conn: Connection, ids: Collection[RequestId]) -> None:
        """Tell the intake of requests that the transaction changes."""
        self.told(conn, ids)
