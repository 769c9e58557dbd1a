"""Outgoing calls of handlers: what each needs besides its words, a deadline and leave to write.

Deadlines: a connection is cut when its time is over, however often the other side says a byte. A
socket's own timeout begins anew with each byte, so that an answer that trickles has no end. A cut
comes less than a second late; one thread serves all connections, and waits while none is used.
Leave: whether this process may write to a backend now, asked in front of every single write.
`ask_leave` raises what the one in charge of this thread raises, at each later call too, and nothing
where nobody is in charge. Whoever was refused ends as refused, whatever was made of the error
meanwhile. Every way out to a backend asks: `Site.run`, `Site.host`, agents, and those that handlers
have of their own. Leaves out: what its user makes of an error, programs' deadlines (`Run`), and who
is in charge (`convergence.calls.hold`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

_PRECISION = 0.5
"""Seconds between looks while any connection is used."""


class _Due:
    """A connection that somebody uses. over: it was cut."""

    def __init__(self, seconds: float, connected: Callable[[], socket.socket | None]) -> None:
        self.until = time.monotonic() + seconds
        self.connected = connected
        self.over = False

    def cut(self) -> None:
        """Shut the connection down: whoever reads from it gets an end or an error."""
        self.over = True
        with contextlib.suppress(Exception):
            if (one := self.connected()) is not None:
                one.shutdown(socket.SHUT_RDWR)


class _Watch:
    """The thread that cuts, begun by the first that needs it."""

    def __init__(self) -> None:
        self._used: set[_Due] = set()
        self._lock = threading.Lock()
        self._any = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, due: _Due) -> None:
        with self._lock:
            self._used.add(due)
            self._any.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()

    def remove(self, due: _Due) -> None:
        with self._lock:
            self._used.discard(due)

    def _run(self) -> None:
        while self._any.wait():
            # It sleeps first, so that a call that is soon over never meets it.
            time.sleep(_PRECISION)
            with self._lock:
                if not self._used:
                    self._any.clear()
                for due in [due for due in self._used if due.until <= time.monotonic()]:
                    due.cut()  # here, so that nobody keeps a connection that is about to be cut
                    self._used.discard(due)


_WATCH = _Watch()


@contextlib.contextmanager
def cut_after(seconds: float, connected: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cut a connection after some seconds. Raises TimeoutError then, whatever its user makes of it.

    connected: returns the socket, None while there is none; it is called by another thread.
    """
    due = _Due(seconds, connected)
    _WATCH.add(due)
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    finally:
        _WATCH.remove(due)
    if due.over:  # to its user the end may look like a short answer
        raise TimeoutError(f"not done after {seconds:g} s") from error
    if error is not None:
        raise error


_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

Sure = Callable[[], None]
"""Raises an error unless the process may write now."""


class _Leave:
    """What one in charge gave, to a thread and those that it carried it to."""

    def __init__(self, sure: Sure) -> None:
        self._sure = sure
        self._lock = threading.Lock()
        self._refused: Exception | None = None

    def ask(self) -> None:
        with self._lock:  # one waits for the answer of a server that is away, not each
            self.go_on()
            try:
                self._sure()
            except Exception as error:
                self._refused = error
                raise

    def go_on(self) -> None:
        """Raise the refusal, if there was one."""
        if self._refused is not None:
            raise self._refused


_here = threading.local()


@contextlib.contextmanager
def leave_given_by(sure: Sure) -> Iterator[None]:
    """Have `ask_leave` in the block, in this thread, call a function. Raises what it raised."""
    mine = _Leave(sure)
    try:
        with _in_thread(mine):
            yield
    finally:
        mine.go_on()


def ask_leave() -> None:
    """Raise an error unless this thread may write now."""
    if (mine := _mine()) is not None:
        mine.ask()


def carrying_leave(work: Callable[[_Given], _Made]) -> Callable[[_Given], _Made]:
    """Return a function that works in another thread with the leave of this one."""
    mine = _mine()

    def carrying(given: _Given) -> _Made:
        with _in_thread(mine):
            return work(given)

    return carrying


def _mine() -> _Leave | None:
    mine: _Leave | None = getattr(_here, "leave", None)
    return mine


@contextlib.contextmanager
def _in_thread(leave: _Leave | None) -> Iterator[None]:
    before, _here.leave = _mine(), leave
    try:
        yield
    finally:
        _here.leave = before
