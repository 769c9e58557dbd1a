"""A member: this process among those of several hosts that serve one journal.

Promises: it says at each beat that it is there, and learns who has which lane and what time it is
where requests are taken; it hears news, and tells them. When it loses the server it says so once:
the process is to end, and to begin again. Leaves out: draining (`jobs`), and taking files.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from provisioner.contract import ConfigError, Fault
from provisioner.hosts.lease import Epochs, Lease, steady
from provisioner.journal import facts
from provisioner.journal.database import Place, loaded
from provisioner.journal.hosts import presence
from provisioner.journal.hosts.presence import Host
from provisioner.journal.journal import Connection, Journal
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

BEATS = 5
"""Beats in a lease."""

REST = 10.0
"""The least seconds for which a transaction may do nothing: a busy host is no frozen one."""

_MOST = 200
"""Requests in one message: the server takes 8000 bytes."""

DUE, CHANGED = "due", "changed"
"""What news are about: lanes, requests."""


class Member:
    """Beats, and hears, in threads of its own between `start` and `stop`."""

    def __init__(self, book: Journal, roles: str, lease: float) -> None:
        """roles: as in `presence.Host`; lease: seconds."""
        self.name = os.uname().nodename
        self.roles = roles
        self.seconds = lease
        self.lease = Lease(self._ask, lease)
        self._rest = max(REST, lease)
        self.heard: Callable[[str, list[str]], None] = lambda about, names: None
        """Gets news: what they are about, and the names."""
        self.beaten: Callable[[], None] = lambda: None
        """Called after each beat."""
        self.lost: Callable[[], None] = lambda: None
        """Called once the server is lost."""
        self._journal = book
        self._wire: Any = None
        self._ahead = 0.0
        self._error: Exception | None = None
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name)
            for name, work in (("beats", self._beat), ("news", self._listen))
        ]

    def join(self) -> None:
        """Serve the journal with others from now on. Raises ConfigError that names who objects."""
        role = presence.INTAKE if self.roles == presence.INTAKE else ""
        self._journal.share(role, self._rest)
        self._wire = wired(self._journal.place)
        now = self._wire.beat(self.name, self.roles, self._rest).server
        mine = Host(self.name, self.roles, version("hpc-provisioner"), now, now)
        with self._journal.transaction() as conn:
            presence.join(conn, mine, now - 2 * self.seconds)
            # A redo log of one process ends before what is written from now on.
            position = int(facts.get(conn, facts.POSITION) or 0)
            facts.put(conn, facts.POSITION, str(position + 1))
        self.lease.renew()

    def start(self) -> None:
        """Beat and listen."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self._wire is not None:
            self._wire.close()

    def leave(self) -> None:
        """Say that this process ends in order, if it has all that it needs for that."""
        if self._error is None:
            with suppress(Fault), self._journal.transaction() as conn:
                presence.leave(conn, Host(self.name, self.roles, "", 0.0, 0.0))

    def raise_lost(self) -> None:
        """Raise the error by which the server was lost, if it was."""
        if self._error is not None:
            raise self._error

    def now(self) -> float:
        """Return the time of day where requests are taken, in seconds since the epoch."""
        return steady() + self._ahead

    def tell(self, about: str, names: Collection[str]) -> None:
        """Tell other processes something now. Raises ConfigError."""
        for news in _news(about, names):
            self._wire.tell(news)

    def tell_changed(self, conn: Connection, ids: Collection[RequestId]) -> None:
        """Tell of requests at the commit of a transaction that changes them."""
        for news in _news(CHANGED, ids):
            self._journal.announce(conn, news)

    def _ask(self) -> Epochs:
        asked = steady()
        beat = self._wire.beat(self.name, self.roles, self._rest)
        self._ahead = beat.server + beat.ahead - asked
        epochs: Epochs = beat.epochs
        return epochs

    def _beat(self) -> None:
        self._stopping.wait(self.seconds / BEATS)
        self.lease.renew()
        self.beaten()

    def _listen(self) -> None:
        for news in self._wire.news(self.seconds / BEATS):
            about, *names = news.split("\n")
            self.heard(about, names)

    def _run(self, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                work()
            except Exception as error:
                if self._error is None:
                    log.error("%s", error, exc_info=None if isinstance(error, Fault) else error)
                    self._error = error
                self.lost()
                return


def _news(about: str, names: Collection[str]) -> Iterator[str]:
    listed = list(dict.fromkeys(names))
    for start in range(0, len(listed), _MOST):
        yield "\n".join([about, *listed[start : start + _MOST]])


def wired(place: Place) -> Any:
    """Return the connection of a journal's processes to each other. Raises ConfigError."""
    if not isinstance(place, str):
        raise ConfigError(f"{place} is a file: no other process serves it")
    return loaded(place, "wire").Wire(place)
