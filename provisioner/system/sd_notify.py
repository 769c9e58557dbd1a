"""Tells systemd that the service is ready, alive, or about to end (sd_notify(3)).

Promises: if nobody listens, nothing happens, and no error here ever stops the service. `alive` is
sent only as often as the watchdog needs. Leaves out: judging whether threads are alive (`service`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_SHARE = 3
"""How often `alive` is sent in the time that the watchdog waits."""

START = 900.0
"""Seconds for which systemd waits for the next word of a start: as long as the unit says for all of
it."""


class Notifier:
    """The service manager, if there is one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # `@` stands for the NUL of an abstract name.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watched = mine and microseconds.isdigit()
        self._every = int(microseconds) / 1e6 / _SHARE if watched else None
        self._next = self._extend = 0.0

    def starting(self) -> None:
        """Tell systemd that the start goes on, so that it may take longer than the unit says."""
        now = time.monotonic()
        if now >= self._extend:
            self._extend = now + START / _SHARE
            self._say(f"EXTEND_TIMEOUT_USEC={int(START * 1e6)}")

    def ready(self) -> None:
        """Tell systemd that the service serves requests from now on."""
        self._say("READY=1")

    def alive(self) -> None:
        """Tell systemd that all threads are alive; without this for a while, systemd restarts the
        service."""
        now = time.monotonic()
        if self._every is not None and now >= self._next:
            self._next = now + self._every
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """Tell systemd that the service finishes its current work and begins nothing more."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.settimeout(1.0)
            way.sendto(text.encode(), self._address)
