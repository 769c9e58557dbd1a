"""Keeping the house where several intakes take files: one process has it, placed as a lane is.

Promises: every transaction of the house compares the epoch, as a lane's does, so that a process
that was only slow writes nothing after another one has taken it up. Its process then ends.
Intakes hear at the commit of what concerns their files. Leaves out: which process has it
(`hosts.jobs`), and what is done (`house`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from contextlib import ExitStack

from provisioner.admission import after_commit as after
from provisioner.admission.after_commit import Admitted, AfterCommit
from provisioner.contract import ConfigError
from provisioner.convergence import recording, threads
from provisioner.convergence.calls.hold import Alone, Hold
from provisioner.convergence.lanes import Drained, Lane
from provisioner.convergence.next_try import Patience
from provisioner.hosts.member import DUE, RENEWED, Member
from provisioner.hosts.placement import Placement
from provisioner.house.house import House
from provisioner.journal import facts
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.hosts.presence import HOUSE
from provisioner.journal.journal import JournalFull
from provisioner.journal.records import waits
from provisioner.recovery import clock, startup
from provisioner.system.ulid import RequestId
from provisioner.wiring import System

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between looks for what is due, and what others have accepted."""


class Away:
    """The house, for an intake: this process, or another one, has it. A `house.Aside`."""

    parts: Collection[threads.Background] = ()
    looking = False

    def __init__(self, system: System, member: Member) -> None:
        self._config = system.config
        self._journal = system.journal
        self._member = member

    def open(self) -> None:
        """Do nothing: with several processes there is no redo log."""

    def begin(self) -> bool:
        """Return True if the journal may only be observed."""
        startup.introduce(self._journal, self._config)
        return startup.observes(self._journal, self._config)

    def unserved(self) -> bool:
        """Return False: they are ended where the house is."""
        return False

    def go_on(self, redo: Callable[[], None]) -> None:
        """Do it now."""
        redo()

    def sure(self) -> None:
        """Do nothing: the lock of the spool keeps others out."""

    def resume(self) -> None:
        """Do nothing."""

    def now(self) -> float:
        """Return the time of day, as the journal has it."""
        return self._member.now()

    def settled(self) -> float:
        """Return the time by which old data may be removed; 0 while that is not known."""
        with self._journal.reading() as conn:
            return clock.settled(conn, self._member.now())

    def admits(self) -> bool:
        """Return True: the server says so itself."""
        return True

    def due(self, seconds: float) -> Iterator[Admitted]:
        """Return nothing."""
        return iter(())

    def step(self) -> int:
        """Do nothing."""
        return 0

    def follow(self, manifests: Mapping[RequestId, int]) -> None:
        """Tell who has the house that there is one to follow."""
        self._member.tell(DUE, [HOUSE])


class Keeping:
    """The house as a job: `convergence.threads.Drains`."""

    name = HOUSE
    instances: Set[str] = frozenset()

    def __init__(
        self, system: System, member: Member, placement: Placement, lanes: Mapping[str, Lane]
    ) -> None:
        """system: the house's own, with a journal of its own; placement: wakes lanes."""
        self.hold: Hold = Alone()
        self._system = system
        self._member = member
        self._placement = placement
        self._lanes = lanes
        self._house: House | None = None
        whole = system.journal, system.progress, self._drained, Patience()
        self._unserved = Lane(waits.UNSERVED, {}, *whole)
        self._woken, self._stopping = threading.Event(), threading.Event()

    def keep(self, house: House) -> None:
        """Say which house it is."""
        self._house = house

    def check(self) -> None:
        """Raise ConfigError if this host could not keep house as it is."""
        assert self._house is not None
        self._house.copier.make_way()

    def stop(self) -> None:
        """End `run` after the current portion."""
        self._stopping.set()
        self._woken.set()

    def wake(self, later: float = 0.0) -> None:
        """Look for what is due."""
        self._woken.set()

    def run(self) -> None:
        """Keep house until stopped, or overtaken."""
        lane = threading.Thread(target=self._unserved.run, name=f"lane {waits.UNSERVED}")
        try:
            house = self.enter()
            with ExitStack() as running:
                for start, stop in (
                    (lane.start, lambda: threads.end([self._unserved], [lane])),
                    *((part.start, part.stop) for part in house.parts),
                ):
                    if threads.started(start, self._stopping):
                        running.callback(stop)
                log.info("%s keeps house", self._member.name)
                while not self._stopping.is_set():
                    self._woken.clear()
                    if not self.work():
                        self._woken.wait(LOOK)
        except Overtaken as error:
            log.error("%s", error)
        finally:
            self._system.journal.close()

    def enter(self) -> House:
        """Continue what another process did, from the journal. Raises Overtaken."""
        house, book, lane = self._house, self._system.journal, self._unserved
        assert house is not None
        book.share((), self._member.rest)
        book.guard = self.hold.check
        try:
            house.copier.make_way()
        except ConfigError as error:  # it was well at the start, and no intake may end by it now
            log.error("%s; what to do: %s", error.message, error.advice)
        lane.hold, lane.now = self.hold, house.now
        house.unserved()
        lane.observing = house.begin()
        house.resume()
        return house

    def work(self) -> int:
        """Do what is due. Return 0 if nothing is left to do. Raises Overtaken."""
        house = self._house
        assert house is not None
        self.hold.sure()
        try:
            house.admits()
            with self._system.journal.reading() as conn:
                self._unserved.observing = facts.get(conn, facts.OBSERVING) is not None
            house.portions.look()
            for admitted in house.due(LOOK):
                self.perform(admitted.left)
            self._unserved.wake()
            return house.step()
        except (ConfigError, JournalFull, OSError) as error:
            log.error("the house cannot be kept: %s; trying again", error)
            self._stopping.wait(LOOK)
            return 0

    def _drained(self, drained: Drained) -> None:
        self._placement.begin(self._lanes, drained.begun)
        recording.deferred(self._system.journal, self.hold, drained.later)

    def perform(self, left: Iterable[AfterCommit]) -> None:
        """Do what a commit leaves. Files are with the intakes, which hear of them at the commit."""
        for task in left:
            match task:
                case after.FollowManifests(writers):
                    assert self._house is not None
                    self._house.follow(writers)
                case after.WakeLanes():
                    self._placement.wake(self._lanes.values())
                case _:
                    continue  # the business of who has files, or drains lanes

    def renew(self, ids: Collection[RequestId]) -> None:
        """Have receipts written again, wherever they are."""
        self._member.tell(RENEWED, ids)
