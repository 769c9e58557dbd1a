"""The database of a journal in PostgreSQL, and how it is reached, created and checked.

Promises: a database that is not a journal of the current version is not written to. One writer at
a time, on whichever host; a reader sees one state. No message has a password. Leaves out:
transactions (`journal`), and how the server is kept, which is the site's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.util import LRUCache

from provisioner.contract import ConfigError
from provisioner.journal import bulk, facts
from provisioner.journal.database import Place, Trouble
from provisioner.journal.dialect import Spoilt
from provisioner.journal.kept import READING
from provisioner.journal.postgresql import cells, migrations, service
from provisioner.journal.postgresql.dialect import SCHEME, Dialect
from provisioner.journal.postgresql.driven import Driven
from provisioner.journal.schema import VERSION, metadata
from provisioner.plain import compact
from provisioner.system import ulid

_DIALECT = Dialect()

WRITER = 0x70726F76
"""The first number of the lock that a writer holds until its commit; the second is the schema's."""

KEY = "pg_catalog.hashtext(current_schema()::TEXT)"
"""The number of a schema. Without the name and the type, another role's function of this name in
the journal's schema, for the type that `current_schema` has, would be called with our rights."""

_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LOCK = f"SELECT pg_advisory_xact_lock({WRITER}, {KEY})"
_LOOK = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

CHANNEL = "'provisioner ' || current_schema()::TEXT"
"""Where news are told. A journal is a schema: several may share a database."""

NOW = "extract(epoch FROM clock_timestamp())::FLOAT8"
"""The server's time."""

TELL = f"SELECT pg_notify({CHANNEL}, %s)"
"""Tells something at the commit."""

_COMPILED: LRUCache[Any, Any] = LRUCache(500)

_FULL = ("53100",)
_AWAY = ("08", "57P", "58", "XX", "25006")
"""How the SQLSTATE begins of a server that goes, whose disk fails, whose pages are damaged, or that
is a standby."""

_ENDS = ("FATAL", "PANIC")
"""How grave an error is with which the server ends a connection, whatever its SQLSTATE."""


_LONGEST = 63
"""The most characters that the server takes of a client's name."""

_PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30000,
}
"""After how many seconds (the last: milliseconds) a server that says nothing is away, unless the
address says otherwise."""


_SESSION = (
    "SET client_encoding = 'UTF8'; SET synchronous_commit = on; SET tcp_keepalives_idle = 10; "
    "SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 30000"
)
"""What the server is asked for. After half a minute it gives up a client that says nothing, too: a
host without power would keep its locks for hours."""


class Server:
    """A `Database` on a server."""

    def __init__(self, place: str, engine: Engine) -> None:
        self.place: Place = place
        self.engine = engine

    def damage(self, conn: Connection) -> str:
        """Return '': the server checks its pages itself, by their checksums."""
        return ""

    def wrong(self) -> str:
        """Read every cell. Return the first that is wrong; '' if none is."""
        try:
            with self.engine.connect() as bare:
                return cells.wrong(bare.execution_options(**{READING: True}))
        except DBAPIError as error:
            raise self.unusable(error) from error

    def unusable(self, error: Exception) -> ConfigError:
        """Return an error that says why the database cannot be used, and what to do."""
        return unusable(str(self.place), error)

    def trouble(self, error: DBAPIError) -> Trouble | None:
        """Return what an error says of the server; None if it is the statement's own."""
        code = getattr(error.orig, "sqlstate", None)
        if code in _FULL:
            return Trouble.FULL
        if not isinstance(error.orig, psycopg.Error):
            return None
        lost = code is None and isinstance(error.orig, psycopg.OperationalError)
        ended = error.orig.diag.severity_nonlocalized in _ENDS
        return Trouble.BROKEN if lost or ended or (code or "").startswith(_AWAY) else None

    def displaced(self) -> str:
        """Return '': a connection leads to one database as long as it lives."""
        return ""

    def claim(self, conn: Connection) -> None:
        """Share the lock of who serves it: this connection, alone, can then write."""
        with _by_itself(conn) as driver:
            service.claim(driver, str(self.place))

    def share(self, conn: Connection, roles: Sequence[str], rest: float) -> None:
        """Share the lock of who serves it; the server ends a transaction that rests for long."""
        with _by_itself(conn) as driver:
            service.share(driver, str(self.place), roles)
            driver.execute(f"SET idle_in_transaction_session_timeout = {round(rest * 1000)}")
            driver.commit()

    def now(self, conn: Connection) -> float:
        """Return the server's time."""
        [(now,)] = bulk.drive(conn, f"SELECT {NOW}", ())
        return float(now)

    def announce(self, conn: Connection, news: str) -> None:
        """Tell it with the transaction."""
        bulk.drive(conn, TELL, [(news,)])

    def summed(self, conn: Connection) -> None:
        """Keep no sum: pages have checksums."""

    def total(self) -> int:
        """Return 0."""
        return 0


def connect(place: str) -> Server:
    """Connect to a journal's database; make its tables if it is empty. Raises ConfigError."""
    refuse_password(place)
    engine = create_engine(
        f"{SCHEME}://",
        execution_options={"compiled_cache": _COMPILED},
        poolclass=StaticPool,
        creator=lambda: connected(place, Driven),
        json_serializer=compact.written,
        json_deserializer=_parsed,
        use_native_hstore=False,
    )
    event.listen(engine, "connect", _lead)
    event.listen(engine, "begin", _begin)
    try:
        with engine.connect() as bare:
            conn = bare.execution_options(**{READING: True})
            _check_encoding(conn)
            there = set(inspect(conn).get_table_names())
            if there:
                _check(conn, there, place)
        if not there:
            with engine.begin() as conn:
                if not inspect(conn).get_table_names():  # else another host has just made them
                    _create(conn)
    except ConfigError as error:
        engine.dispose()
        if place in error.message:
            raise
        raise ConfigError(f"the journal {place}: {error.message}", advice=error.advice) from None
    except (DBAPIError, psycopg.Error) as error:
        engine.dispose()
        raise unusable(place, error) from error
    return Server(place, engine)


def refuse_password(place: str) -> None:
    """Raise ConfigError, which does not repeat it, if an address has a password."""
    try:
        words = conninfo_to_dict(place)
    except psycopg.Error:
        words = {"password": ""}  # the driver's message would repeat the address
    if "password" in words:
        raise ConfigError(
            "the address of the journal has a password, or cannot be read",
            advice="write it as postgresql:///NAME?host=HOST&user=USER; the password belongs into "
            "~/.pgpass of the service's user, or in a file that PGPASSFILE names",
        )


def patient(place: str, **more: str) -> str:
    """Return an address by which nobody waits for a silent server for long, `pg_dump` included.

    more: what else it says, unless the site's own says it.
    """
    return make_conninfo(**{**_PATIENCE, **more, **conninfo_to_dict(place)})


def connected(place: str, kind: type[psycopg.Connection[Any]] = psycopg.Connection) -> Any:
    """Return a connection, by which others see who this is. Raises psycopg.Error."""
    name = f"provisioner {os.uname().nodename} {os.getpid()}"[:_LONGEST]
    made = kind.connect(patient(place, application_name=name))
    made.execute(_SESSION)
    made.commit()
    return made


def _lead(made: Any, record: Any) -> None:
    """Have the statements of the hot path run by a connection's pipeline."""
    record.info[bulk.DRIVER] = made.lead()


@contextmanager
def _by_itself(conn: Connection) -> Iterator[Any]:
    """Give the driver's connection, which begins transactions by itself within the block."""
    driver: Any = conn.connection.driver_connection
    driver.autocommit = False
    yield driver
    driver.autocommit = True


def _begin(conn: Connection) -> None:
    """Begin a transaction: a reader's with its first question, a writer's when it has the lock."""
    reading = conn.get_execution_options().get(READING, False)
    bulk.drive(conn, _LOOK if reading else _WRITE, [()])
    if not reading:
        bulk.drive(conn, _LOCK, ())


def _create(conn: Connection) -> None:
    for statement in _tables():
        conn.exec_driver_sql(statement)
    facts.put(conn, facts.JOURNAL, ulid.new())
    facts.put(conn, facts.POSITION, "0")
    facts.put(conn, facts.VERSION, str(VERSION))


@cache
def _tables() -> list[str]:
    """Return the statements that make each table and index."""
    statements: list[CreateTable | CreateIndex] = []
    for table in metadata.sorted_tables:
        statements.append(CreateTable(table))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [CreateIndex(index) for index in indexes]
    return [str(statement.compile(dialect=_DIALECT)) for statement in statements]


def _check_encoding(conn: Connection) -> None:
    """Raise ConfigError unless the database can have every text."""
    bare: Any = conn.connection.driver_connection
    encoding = bare.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(
            f"its database has the encoding {encoding}, which cannot have every name",
            advice="make one with UTF-8: createdb --template=template0 --encoding=UTF8 NAME",
        )


def _check(conn: Connection, there: set[str], place: str) -> None:
    missing = sorted({table.name for table in metadata.sorted_tables} - there)
    if missing:
        raise ConfigError(
            f"it is a database, but not a journal of this program: it has no {missing[0]}",
            advice="look at `journal` in the configuration: is it the right database?",
        )
    version = int(facts.get(conn, facts.VERSION) or 0)
    if version > VERSION:
        raise migrations.newer(place, version, VERSION)
    if version < VERSION:
        raise ConfigError(
            f"it has the older version {version}",
            advice="start the service: it migrates the journal to the current version",
        )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        raise Spoilt(f"a cell with JSON has {text[:60]!r}") from None


def unusable(place: str, error: Exception) -> ConfigError:
    """Return an error that says why a server cannot be used, and what to do."""
    cause = getattr(error, "orig", None) or error
    return ConfigError(
        f"the journal {place} cannot be opened: {' '.join(str(cause).split())}",
        advice="psql with the same address, as the service's user, says whether the server is "
        "there and lets it in",
        passing=isinstance(cause, psycopg.OperationalError),
    )
