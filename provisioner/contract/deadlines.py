"""Deadlines: a connection is cut when its time is over, however often the other side says a byte.

A socket's own timeout begins anew with each byte, so that an answer that trickles has no end.
Promises: a cut comes less than a second late; one thread serves all connections, and waits while
none is used. Leaves out: what its user makes of the error, and programs (`Run`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

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
