"""Stored: a journal in PostgreSQL that this process has not opened yet.

Promises: what `journal.stored` asks. While one process serves a journal, on whichever host, no
other does: each connection that serves holds a lock, which ends with it. Leaves out: an open
journal (`server`), and copies (`dumps`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from provisioner.contract import Finding, Level
from provisioner.journal.postgresql import dumps, migrations, service
from provisioner.journal.postgresql.server import connect, connected, refuse_password, unusable
from provisioner.journal.stored import Check, Numbered, readable

__all__ = ["Stored", "connect"]

log = logging.getLogger(__name__)

_THERE = "SELECT to_regclass('marks') IS NOT NULL"
_MARKS = "SELECT name, value FROM marks WHERE name IN ('journal', 'position')"
_MOVE = "UPDATE marks SET value = %s WHERE name = 'position'"
_SIZE = (
    "SELECT coalesce(sum(pg_table_size(oid)), 0)::BIGINT FROM pg_class "
    "WHERE relnamespace = current_schema()::REGNAMESPACE AND relkind = 'r'"
)


_SAFE = {
    "fsync": (
        Level.ERROR,
        "the server does not flush what it commits: a power cut can lose or damage all",
        "set fsync = on in postgresql.conf, and restart the server",
    ),
    "full_page_writes": (
        Level.ERROR,
        "the server does not mend pages that a power cut left half written",
        "set full_page_writes = on in postgresql.conf, and reload the server, unless its file "
        "system writes a page whole or not at all",
    ),
    "data_checksums": (
        Level.WARNING,
        "the server's pages have no checksums: damage would not be seen",
        "stop the server, then pg_checksums --enable -D its data directory",
    ),
}
"""What a server should have on, and what it means if it is off."""


def _unsafe(place: str, name: str) -> Finding:
    level, message, advice = _SAFE[name]
    return Finding(level, "journal", f"{place}: {message}", advice)


class Stored:
    """A `journal.stored.Stored`."""

    kind = "postgresql"

    def __init__(self, place: str) -> None:
        self._place = place

    def exists(self) -> bool:
        """Return True if the database has the tables of a journal. Raises ConfigError."""
        with self._asking() as conn:
            return bool(conn.execute(_THERE).fetchone()[0])

    def make_way(self) -> None:
        """Do nothing: the site makes databases."""

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold the lock of who serves it with a connection. Raises ConfigError."""
        with self._asking() as conn:
            service.reserve(conn, self._place)
            yield

    @contextmanager
    def first(self) -> Iterator[bool]:
        """Hold the lock of who serves it with a connection, if nobody else does."""
        with self._asking() as conn:
            yield service.free(conn)

    def make_ready(self) -> None:
        """Migrate it."""
        with self._asking() as conn:
            version = migrations.migrate(conn, self._place)
        if version is not None:
            log.info("the journal had version %d; it has a new one", version)

    def position(self) -> tuple[str, int]:
        """Return its id, and its position."""
        with self._reading() as conn:
            values = dict(conn.execute(_MARKS).fetchall())
        return values["journal"], int(values["position"])

    def redo(self, done: Iterable[Numbered]) -> None:
        """Commit transactions that only the redo log has: all, or none."""
        with self._reading() as conn:
            for number, did in done:
                for sql, rows in did:
                    conn.executemany(sql, rows)
                conn.execute(_MOVE, [str(number)])

    def size(self) -> int:
        """Return how much the tables have; a dump is compressed."""
        with self._reading() as conn:
            return int(conn.execute(_SIZE).fetchone()[0])

    def copy(self, target: Path, check: Check) -> None:
        """Dump it."""
        dumps.make(self._place, target, check)

    def findings(self) -> Sequence[Finding]:
        """Return whether the server keeps what it commits, and can tell a spoilt page."""
        with self._asking() as conn:
            is_on = {name: conn.execute(f"SHOW {name}").fetchone()[0] == "on" for name in _SAFE}
        off = [name for name, on in is_on.items() if not on]
        return [_unsafe(self._place, name) for name in off] or [
            Finding(Level.OK, "journal", self._place)
        ]

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """Give a connection, in a transaction that ends with the block. Raises ConfigError."""
        refuse_password(self._place)
        try:
            made = connected(self._place)
        except psycopg.Error as error:
            raise unusable(self._place, error) from error
        with made:
            yield made

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with readable(psycopg.Error), connected(self._place) as conn:
            yield conn
