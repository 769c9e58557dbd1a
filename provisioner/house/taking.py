"""Taking files from a spool that several intakes share: one of them does, which keeps the house.

Promises: a writer's files are accepted in the order in which they came, as one process takes them.
Who takes the house up goes on with the files as a start does. Whoever was only slow takes, accepts
and files nothing more, and ends; a request that it was filing is filed again by the other one.
Leaves out: which process has the house (`hosts.jobs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from provisioner.convergence.calls.hold import Alone
from provisioner.hosts.member import CHANGED, Member
from provisioner.house.keeping import Away, Keeping
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.journal import Connection, JournalBroken
from provisioner.system.ulid import RequestId
from provisioner.wiring import System


class Taking(Away):
    """The house, for the thread that takes files from a spool that others share. A `house.Aside`.

    here: whether the files are this process's.
    """

    def __init__(self, system: System, member: Member, keeping: Keeping) -> None:
        super().__init__(system, member)
        self._keeping = keeping
        self._redo: Callable[[], None] = lambda: None
        self.here = False

    def go_on(self, redo: Callable[[], None]) -> None:
        """Continue what another process did with the files, once they are this one's."""
        self._redo = redo

    def admits(self) -> bool:
        """Return True if files are taken here; go on with them when the house has come here."""
        if isinstance(self._keeping.hold, Alone):
            return False
        self.sure()
        if not self.here:
            self._journal.guard = self._check
            self.here = True
            self._redo()
        return True

    def sure(self) -> None:
        """Raise JournalBroken if another process takes the files by now."""
        try:
            self._keeping.hold.sure()
        except Overtaken as error:
            raise _over(error) from error

    @contextmanager
    def filing(self, request: RequestId) -> Iterator[None]:
        """Put the files of a request into their places. Raises as `sure`."""
        self.sure()
        yield
        try:
            self.sure()
        except JournalBroken:
            self._member.tell(CHANGED, [request])  # what was written may be older than another's
            raise

    def _check(self, conn: Connection) -> None:
        try:
            self._keeping.hold.check(conn)
        except Overtaken as error:
            raise _over(error) from error


def _over(error: Overtaken) -> JournalBroken:
    return JournalBroken(
        f"files are taken by another host: {error}", advice="see the log above; it starts again"
    )
