"""A member: this process among those of several hosts that serve one journal.

Promises: it says at each beat that it is there, and learns who has which lane and what time it is
where the journal is; it hears news, and tells them. When it loses the server it says so once: the
process is to end, and to begin again. Leaves out: draining (`jobs`), and taking files.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from provisioner.contract import ConfigError, Fault
from provisioner.hosts.lease import Epochs, Lease, steady
from provisioner.journal import facts
from provisioner.journal.database import Place, loaded
from provisioner.journal.hosts import presence
from provisioner.journal.hosts.presence import Host
from provisioner.journal.journal import Connection, Journal
from provisioner.recovery import clock
from provisioner.recovery.clock import Sight
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

BEATS = 5
"""Beats in a lease."""

REST = 10.0
"""The least seconds for which a transaction may do nothing: a busy host is no frozen one."""

_MOST = 200
"""Requests in one message: the server takes 8000 bytes."""

DUE, CHANGED, RENEWED, RETURNED, HANDED = "due", "changed", "renewed", "returned", "handed"
"""What news are about: lanes; requests that are filed again, whose receipts are written again,
whose files go through staging again; nothing, where a request was handed on."""

_OF_REQUESTS = (CHANGED, RENEWED, RETURNED)


class Member:
    """Beats, and hears, in threads of its own between `start` and `stop`."""

    def __init__(self, book: Journal, roles: str, lease: float) -> None:
        """roles: as in `presence.Host`; lease: seconds."""
        self.name = os.uname().nodename
        self.roles = roles
        self.token = ulid.new()
        """Tells its own news from those of others."""
        self.seconds = lease
        self.lease = Lease(self._ask, lease)
        self.rest = max(REST, lease)
        """Seconds for which a transaction may do nothing."""
        self.heard: Callable[[str, list[str]], None] = lambda about, names: None
        """Gets news: what they are about, and the names."""
        self.beaten: Callable[[], None] = lambda: None
        """Called after each beat."""
        self.lost: Callable[[], None] = lambda: None
        """Called once the server is lost."""
        self._journal = book
        self._wire: Any = None
        self._ahead = 0.0
        self._known = self._left = self._puzzled = False
        self._error: Exception | None = None
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name)
            for name, work in (("beats", self._beat), ("news", self._listen))
        ]

    def join(self) -> None:
        """Serve the journal with others from now on. Raises ConfigError that names who objects."""
        intake = self.roles == presence.INTAKE
        self._journal.share((f"an intake on {self.name}",) if intake else (), self.rest)
        self._wire = wired(self._journal.place)
        now = self._wire.beat(self.name, self.roles, self.rest).server
        mine = Host(self.name, self.roles, version("hpc-provisioner"), now, now)
        with self._journal.transaction() as conn:
            presence.join(conn, mine, self.seconds)
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

    def hear(self, seconds: float) -> None:
        """Pass on what others tell, for some seconds. Raises ConfigError."""
        for news in self._wire.news(seconds):
            about, *names = news.split("\n")
            about, _, teller = about.partition(" ")
            if not _meant(about, names):
                self._ignore(news)
            elif teller != self.token:
                self.heard(about, names)

    def look(self) -> Sight:
        """Return a reading of the server's clock, by this host's steady one."""
        return replace(clock.look(), wall=self.now())

    def leave(self) -> None:
        """Say that this process ends in order, if it has all that it needs for that."""
        self._left = True  # a beat may follow
        if self._error is None:
            with suppress(Fault), self._journal.transaction() as conn:
                presence.leave(conn, Host(self.name, self.roles, "", 0.0, 0.0))

    def raise_lost(self) -> None:
        """Raise the error by which the server was lost, if it was."""
        if self._error is not None:
            raise self._error

    def now(self) -> float:
        """Return the time of day where the journal is, in seconds since the epoch."""
        return steady() + self._ahead

    def tell(self, about: str, names: Collection[str]) -> None:
        """Tell other processes something now; they would find it out themselves."""
        try:
            for news in _news(about, names):
                self._wire.tell(news)
        except Fault as error:
            self._lose(error)

    def tell_changed(self, conn: Connection, ids: Collection[RequestId]) -> None:
        """Tell of requests at the commit of a transaction that changes them."""
        announce_changed(self._journal, conn, ids)

    def tell_others(self, conn: Connection, ids: Collection[RequestId]) -> None:
        """Tell all processes but this one, which does what follows by itself."""
        for news in _news(f"{CHANGED} {self.token}", ids):
            self._journal.announce(conn, news)

    def tell_returned(self, conn: Connection, request: RequestId) -> None:
        """Tell of a refused request whose file is to go through staging again."""
        for news in _news(RETURNED, [request]):
            self._journal.announce(conn, news)

    def _ask(self) -> Epochs:
        asked = steady()
        beat = self._wire.beat(self.name, self.roles, self.rest)
        self._ahead, self._known = beat.server - asked, beat.known
        epochs: Epochs = beat.epochs
        return epochs

    def _beat(self) -> None:
        self._stopping.wait(self.seconds / BEATS)
        self.lease.renew()
        if not self._known and not self._left:
            raise ConfigError(
                f"{self.name} was given up, as it was not heard",
                advice="it starts again",
                passing=True,
            )
        self.beaten()

    def _listen(self) -> None:
        self.hear(self.seconds / BEATS)

    def _run(self, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                work()
            except Exception as error:
                self._lose(error)
                return

    def _ignore(self, news: str) -> None:
        """Say once that somebody else tells something here: no right is needed for it."""
        if not self._puzzled:
            log.warning(
                "%.60r is no news of this program: it is ignored, and so are others like it. "
                "Who but the service connects to the journal's database? docs/scale-out.md says "
                "how to let nobody else in",
                news,
            )
        self._puzzled = True

    def _lose(self, error: Exception) -> None:
        """Have the process end, and say why."""
        if self._error is None:
            log.error("%s", error, exc_info=None if isinstance(error, Fault) else error)
            self._error = error
        self.lost()


def announce_changed(book: Journal, conn: Connection, ids: Collection[RequestId]) -> None:
    """Tell every process of requests at the commit of a transaction that changes them."""
    for news in _news(CHANGED, ids):
        book.announce(conn, news)


def _meant(about: str, names: Collection[str]) -> bool:
    """Return True if news are such as a process of this program tells."""
    return about in (DUE, HANDED) or (about in _OF_REQUESTS and all(map(ulid.is_ulid, names)))


def _news(about: str, names: Collection[str]) -> Iterator[str]:
    listed = list(dict.fromkeys(names))
    for start in range(0, len(listed), _MOST):
        yield "\n".join([about, *listed[start : start + _MOST]])


def wired(place: Place) -> Any:
    """Return the connection of a journal's processes to each other. Raises ConfigError."""
    if not isinstance(place, str):
        raise ConfigError(f"{place} is a file: no other process serves it")
    return loaded(place, "wire").Wire(place)
