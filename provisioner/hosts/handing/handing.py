"""Handing on: a request that comes from a host without a spool, by the journal, into staging.

Promises: what `hand_on` returned from comes into the staging of one intake, once, whatever is
killed when: what a host has taken and not shown, whoever has its spool shows. It is the service's
own request: who can write to the journal is trusted as its user is. Leaves out: files beside a
request, and signatures.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from provisioner.contract import Fault
from provisioner.hosts.handing import laid
from provisioner.hosts.member import HANDED
from provisioner.journal.hosts import handed
from provisioner.journal.hosts.handed import Handed
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.records import request_rows
from provisioner.spool.spool import Spool
from provisioner.spool.submission import label
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

_LONGEST = 60
"""The most characters of a host's name: with another one, ids and endings it is a file's."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")


def hand_on(book: Journal, name: str, body: bytes) -> str:
    """Hand a request on; return the name that its file gets. name: ends as a request's does."""
    stem, _, ending = name.rpartition(".")
    plain = stem if _PLAIN.fullmatch(stem) else "request"
    with book.transaction() as conn:
        own = _number(book, conn)
        one = Handed(own, f"{plain}-{_here()}-{own}.{ending}", body)
        handed.add(conn, one)
        book.announce(conn, HANDED)
    return one.name


def _number(book: Journal, conn: Connection) -> RequestId:
    """Return an id greater than those of all that is on its way: what several hosts hand on is
    taken in the order in which they did, whatever their clocks say."""
    last = handed.last_id(conn)
    made = ulid.at(book.now(conn))
    return made if made > last else ulid.after(RequestId(last))


def _here() -> str:
    return label(os.uname().nodename)[:_LONGEST]


def has_file(spool: Spool, name: str) -> bool:
    """Return True if a file of a name is in a spool's staging, or was taken out of it lately."""
    if os.path.lexists(spool.staging / name):
        return True
    return any(found and found[0] == name for found in map(spool.taken, spool.listed("active")))


def settle(book: Journal, spool: Spool) -> None:
    """Put all that is on its way into the staging of a process that serves alone, as no intake
    will. Raises OSError."""
    with book.reading() as conn:
        if not handed.last_id(conn):
            return
    with book.transaction() as conn:
        handed.take_all(conn, handed.taker(spool.identity, _here()))
    Receiver(book, spool.staging, lambda: spool.identity, partial(has_file, spool)).take()


class Receiver:
    """Takes what was handed on, in a thread of its own between `start` and `stop`."""

    def __init__(
        self, book: Journal, staging: Path, spool: Callable[[], str], has: Callable[[str], bool]
    ) -> None:
        """spool: returns the id of the spool that has this staging; has: returns True if a file of
        a name is in staging, or was taken out of it and is in no journal yet."""
        self._journal = book
        self._staging = staging
        self._spool = spool
        self._has = has
        self._me = _here()
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="handed on")

    def start(self) -> None:
        """Start; nothing is taken before the first `wake`."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping = True
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wake(self) -> None:
        """Have it look."""
        self._woken.set()

    def _run(self) -> None:
        told = ""
        while True:
            self._woken.wait()
            self._woken.clear()
            if self._stopping:
                return
            try:
                self.take()
                told = ""
            except (OSError, Fault) as error:  # who lost the server ends, and says so itself
                if told != str(error):
                    log.error("what other hosts hand on cannot be taken: %s", error)
                told = str(error)

    def take(self) -> None:
        """Put what waits into staging. Raises OSError, and Fault if the journal cannot be used."""
        self._go_on()
        self._withdraw()
        while True:
            with self._journal.reading() as conn:
                found = handed.waiting(conn)
            if not found:
                return
            for one in found:
                laid.lay(self._staging, one.name, self._me, one.body)
            with self._journal.transaction() as conn:
                handed.take(conn, [one.id for one in found], handed.taker(self._spool(), self._me))
            self._go_on()
            self._withdraw()

    def _go_on(self) -> None:
        """Show what was taken, also what a host took that was killed then, or is slow."""
        while taken := self._taken():
            for one in taken:
                if not laid.show(self._staging, one.name, one.host) and not self._came(one):
                    # Staging is another directory than that in which it was laid.
                    laid.lay(self._staging, one.name, self._me, one.body)
                    laid.show(self._staging, one.name, self._me)
                log.info("%s was handed on by another host", one.name)
            with self._journal.transaction() as conn:
                handed.remove(conn, [one.id for one in taken])

    def _came(self, one: Handed) -> bool:
        """Return True if it was shown: its file has gone on, which is looked for in that order.

        Once more, as a file that gets another id just then is not seen. By its name alone, which no
        other one has: ids of two clocks, as after a failover, tell nothing.
        """
        return self._went_on(one.name) or self._went_on(one.name)

    def _went_on(self, name: str) -> bool:
        if self._has(name):
            return True
        with self._journal.reading() as conn:
            return request_rows.newest(conn, name, "") is not None

    def _taken(self) -> list[Handed]:
        with self._journal.reading() as conn:
            return handed.taken(conn, self._spool())

    def _withdraw(self) -> None:
        """Remove what another intake has taken."""
        for name in list(laid.laid(self._staging, self._me)):
            laid.withdraw(self._staging, name, self._me)
