"""Work beside writing: a lane records the results of a batch while its backend writes the next.

Promises: the work is done once, and is over when `finish` returns, whatever threads the host has.
It begins when the next batch is about to be written, because it would only slow the look at that
down; a look that takes long does not hold it up. Leaves out: the work itself (`lanes`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from provisioner.contract import Key
from provisioner.convergence.calls.questions import is_scarce

MOMENT = 0.3
"""The most seconds for which the work waits for the next write."""


class Beside:
    """Some work, in a thread of its own from `start` on, or else in the caller's at `finish`.

    keys: the objects that it concerns, which nobody takes before it is over.
    """

    def __init__(self, work: Callable[[], None], keys: Collection[Key]) -> None:
        self.keys = keys
        self._work: Callable[[], None] | None = work
        self._begin = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Do it beside what the caller does next; nothing if it is done."""
        if self._work is None:
            return
        thread = threading.Thread(target=self._run, name=threading.current_thread().name)
        try:
            thread.start()
        except RuntimeError as error:
            if not is_scarce(error):
                raise
        else:
            self._thread = thread

    def begin(self) -> None:
        """Say that the caller now waits for a backend."""
        self._begin.set()

    def finish(self) -> None:
        """Return when it is done. Raises what it raised, once."""
        self._begin.set()
        if self._thread is not None:
            self._thread.join()
        work, self._work = self._work, None
        if work is not None:
            work()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        self._begin.wait(MOMENT)
        work, self._work = self._work, None
        try:
            if work is not None:
                work()
        except BaseException as error:  # it is raised again in the lane's thread
            self._error = error


def nothing() -> Beside:
    """Return work that is done."""
    done = Beside(lambda: None, ())
    done.finish()
    return done
