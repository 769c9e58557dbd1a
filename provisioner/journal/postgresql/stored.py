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
from provisioner.journal.database import Place
from provisioner.journal.postgresql import dumps, migrations, service
from provisioner.journal.postgresql.server import connect, connected, refuse_password, unusable
from provisioner.journal.stored import Check, Numbered, readable

__all__ = ["Stored", "connect"]

log = logging.getLogger(__name__)

_THERE = "SELECT to_regclass('marks') IS NOT NULL"
_MARKS = "SELECT name, value FROM marks WHERE name IN ('journal', 'position')"
_MOVE = "UPDATE marks SET value = %s WHERE name = 'position'"
_MOVED = (
    "INSERT INTO marks (name, value) VALUES ('moved', %s) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_HOME = "'marks'::REGCLASS::OID || ' ' || {}::TEXT"
"""A restore makes tables anew, and rows by a transaction of its own, so that it gives them another
one of either. What the server itself moves (VACUUM FULL, a standby that is promoted) keeps both."""
_ELSEWHERE = f"SELECT value <> {_HOME.format('xmin')} FROM marks WHERE name = 'home'"
_SETTLE = (
    "INSERT INTO marks (name, value) "
    f"VALUES ('home', {_HOME.format('pg_current_xact_id()::XID')}) ON CONFLICT (name) DO "
)
_SIZE = (
    "SELECT coalesce(sum(pg_table_size(oid)), 0)::BIGINT FROM pg_class "
    "WHERE relnamespace = current_schema()::REGNAMESPACE AND relkind = 'r'"
)


_SETTINGS = "SELECT name, reset_val FROM pg_settings"
"""What a session has that asks for nothing, whatever this one asked for."""

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
    "synchronous_commit": (
        Level.WARNING,
        "the server answers before it has flushed a commit: the service asks it for more, but "
        "pg_restore and psql do not",
        "set synchronous_commit = on in postgresql.conf, and reload the server; or ALTER ROLE, or "
        "DATABASE, ... RESET synchronous_commit",
    ),
    "data_checksums": (
        Level.WARNING,
        "the server's pages have no checksums: damage would not be seen",
        "stop the server, then pg_checksums --enable -D its data directory",
    ),
}
"""What a server should have on, and what it means if it is off."""


_OPEN = (
    "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), current_user), "
    "format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) "
    "WHERE has_database_privilege('public', current_database(), 'CONNECT')"
)
"""What keeps other roles out, if they may connect: without a right in the journal they read nothing
of it, but take locks, listen, and tell news."""


def _lets_in(place: str, commands: Sequence[str]) -> Finding:
    message = (
        "the database lets in each role that pg_hba.conf lets in: it reads nothing of the journal, "
        "but can keep all writers waiting"
    )
    typed = "; ".join(commands)
    return Finding(
        Level.WARNING, "journal", f"{place}: {message}", f"in psql, as its owner: {typed};"
    )


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

    def behind(self) -> bool:
        """Return True if it has an earlier version. Raises ConfigError."""
        with self._asking() as conn:
            return migrations.behind(conn)

    @contextmanager
    def unserved(self) -> Iterator[None]:
        """Hold the lock of who serves it with a connection, alone. Raises ConfigError."""
        with self._asking() as conn:
            service.only(conn, self._place, service.FIRST)
            yield

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

    def was_restored(self) -> bool:
        """Return True if its rows are not where they were noted to be. Raises ConfigError."""
        with self._asking() as conn:
            row = conn.execute(_ELSEWHERE).fetchone()
        return row is not None and bool(row[0])

    def settle(self) -> None:
        """Note where its rows are, if that was never noted. Raises ConfigError."""
        with self._asking() as conn:
            conn.execute(f"{_SETTLE} NOTHING")

    def settle_again(self) -> None:
        """Note where its rows are. Raises ConfigError."""
        with self._asking() as conn:
            conn.execute(f"{_SETTLE} UPDATE SET value = excluded.value")

    def redo(self, done: Iterable[Numbered]) -> None:
        """Commit transactions that only the redo log has: all, or none."""
        with self._reading() as conn:
            for number, did in done:
                for sql, rows in did:
                    conn.cursor().executemany(sql, rows)
                conn.execute(_MOVE, [str(number)])

    def size(self) -> int:
        """Return how much the tables have; a dump is compressed."""
        with self._reading() as conn:
            return int(conn.execute(_SIZE).fetchone()[0])

    def copy(self, target: Path, check: Check) -> None:
        """Dump it."""
        dumps.make(self._place, target, check)

    def retire(self, to: Place) -> Place:
        """Note in it where the journal is now."""
        with self._reading() as conn:
            conn.execute(_MOVED, [str(to)])
        return self._place

    def moved_to(self) -> str | None:
        """Return None: who opens it reads it there."""
        return None

    def findings(self) -> Sequence[Finding]:
        """Return whether the server keeps what it commits, can tell a spoilt page, and keeps others
        out."""
        with self._asking() as conn:
            off = {name for name, value in conn.execute(_SETTINGS) if value == "off"}
            lets_in = conn.execute(_OPEN).fetchone()
        found = [_unsafe(self._place, name) for name in _SAFE if name in off]
        if lets_in is not None:
            found.append(_lets_in(self._place, lets_in))
        return found or [Finding(Level.OK, "journal", self._place)]

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
