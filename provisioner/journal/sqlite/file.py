"""The database of a journal in SQLite: one file, and how it is opened, created and checked.

Promises: a file that is not a journal of the current version is not written to. The error names its
path, says why it cannot be used, and what to do. Statements are compiled once in a process, however
many journals it opens. Leaves out: transactions (`journal`), and the content.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.util import LRUCache

from provisioner.contract import ConfigError
from provisioner.journal import bulk, facts
from provisioner.journal.database import REBUILD, Database, Trouble
from provisioner.journal.dialect import Spoilt
from provisioner.journal.kept import READING
from provisioner.journal.schema import VERSION, metadata
from provisioner.journal.sqlite import cells, migrations
from provisioner.journal.sqlite.dialect import SCHEME, Dialect
from provisioner.journal.sqlite.triggers import Sums
from provisioner.plain import compact
from provisioner.system import ulid

_decoded = json.JSONDecoder().raw_decode


def _written(value: Any) -> str:
    """Return a value as JSON; most lists of steps and objects are empty."""
    return "[]" if value == [] else compact.written(value)


_COMPILED: LRUCache[Any, Any] = LRUCache(500)
"""Statements as SQL: with a cache of its own, each journal would compile them again."""


_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_BROKEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
}
_UNREADABLE = "Could not decode to UTF-8"
"""How the driver's message about a text that is not UTF-8 begins; it has no code."""


class File:
    """A `Database` that is one file."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.place = self.path = path
        self.engine = engine
        there = path.stat()
        self._file = there.st_dev, there.st_ino

    def damage(self, conn: Connection) -> str:
        """Read every page and index. Return what is damaged; '' if nothing is."""
        lines = conn.exec_driver_sql("PRAGMA integrity_check(1)").scalars().all()
        return "; ".join(" ".join(str(line).split()) for line in lines if line != "ok")

    def wrong(self) -> str:
        """Read every cell. Return the first that is wrong; '' if none is."""
        try:
            return cells.wrong(self.path, VERSION)
        except sqlite3.Error as error:
            raise self.unusable(error) from error

    def unusable(self, error: Exception) -> ConfigError:
        """Return an error that says why the file cannot be used, and what to do."""
        return _unusable(self.path, error)

    def trouble(self, error: DBAPIError) -> Trouble | None:
        """Return what an error says of the file; None if it is the statement's own."""
        if str(error.orig).startswith(_UNREADABLE):
            return Trouble.UNREADABLE
        code = int(getattr(error.orig, "sqlite_errorcode", 0))
        if code in _FULL:
            return Trouble.FULL
        return Trouble.BROKEN if code & 0xFF in _BROKEN else None

    def displaced(self) -> str:
        """Return why the open file is no longer what its path leads to; '' if it is.

        It would be lost together with all later writes.
        """
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return f"the journal {self.path} was removed while it was served"
        if (there.st_dev, there.st_ino) != self._file:
            return f"another file was put in the place of the journal {self.path}"
        return ""

    def claim(self, conn: Connection) -> None:
        """Do nothing: who serves it has locked the file."""

    def share(self, conn: Connection, roles: Sequence[str], rest: float) -> None:
        """Raise ConfigError: a file is for one process."""
        raise not_shared(self.path)

    def now(self, conn: Connection) -> float:
        """Return the time of this host."""
        return time.time()

    def announce(self, conn: Connection, news: str) -> None:
        """Do nothing: nobody else serves it."""

    def summed(self, conn: Connection) -> Sums:
        """Keep the sum of what is written on a connection from now on."""
        return Sums(conn.connection.driver_connection)  # type: ignore[arg-type]

    def total(self) -> int:
        """Return the sum of all rows. Raises Spoilt."""
        return cells.read(self.path, VERSION)[1]


def connect(path: Path) -> Database:
    """Connect to a journal's file; create it if it does not exist.

    Raises ConfigError if the directory is missing, or the file is not a journal of the current
    version.
    """
    if not path.parent.is_dir():
        raise ConfigError(
            f"the journal's directory {path.parent} is missing", advice="run `provisioner init`"
        )
    engine = create_engine(
        f"{SCHEME}:///{path}",
        execution_options={"compiled_cache": _COMPILED},
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": 30},
        json_serializer=_written,
        json_deserializer=_parsed,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        version = migrations.version_at(path)
        if version == 0:
            _create(engine, path)
        elif version > VERSION:
            raise migrations.newer(path, version, VERSION)
        elif version < VERSION:
            raise ConfigError(
                f"the journal {path} has the older version {version}",
                advice="start the service: it migrates the journal to the current version",
            )
        else:
            _check_columns(engine)
    except ConfigError as error:
        engine.dispose()
        if str(path) in error.message:
            raise
        raise ConfigError(f"the journal {path}: {error.message}", advice=error.advice) from None
    except (DBAPIError, sqlite3.Error) as error:
        engine.dispose()
        raise _unusable(path, error) from error
    return File(path, engine)


def not_shared(path: Path) -> ConfigError:
    """Return the error that several processes cannot serve a file."""
    return ConfigError(
        f"the journal {path} is a file, which one process serves: --intake and --lanes are for a "
        "journal in PostgreSQL",
        advice="run it without them, or set `journal: postgresql:///NAME` in the configuration",
    )


def _parsed(text: str) -> Any:
    """Read a cell as `json.loads` does, whose own looks for blanks take longer than most cells."""
    try:
        value, end = _decoded(text)
        return value if end == len(text) else json.loads(text)
    except (ValueError, TypeError):
        raise Spoilt(f"a cell with JSON has {text[:60]!r}") from None


def _unusable(path: Path, error: Exception) -> ConfigError:
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return ConfigError(f"the journal {path} is damaged: {cause}", advice=REBUILD)
    if code == sqlite3.SQLITE_READONLY:
        message, advice = (
            f"the journal {path} is read-only",
            "see the mount (findmnt -T), and dmesg",
        )
        return ConfigError(message, advice=advice)
    return ConfigError(
        f"the journal {path} cannot be opened: {cause}",
        advice="see its owner and mode, and whether the disk is full or read-only",
        # A -shm file for which a full disk has no room is an I/O error.
        passing=code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY),
    )


def _create(engine: Engine, path: Path) -> None:
    # SQLite gives the files beside it (-wal, -shm) the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    with engine.begin() as conn:
        for statement in _tables():
            conn.exec_driver_sql(statement)
        if facts.get(conn, facts.JOURNAL) is None:  # else another process has just created it
            facts.put(conn, facts.JOURNAL, ulid.new())
            facts.put(conn, facts.POSITION, "0")
            conn.exec_driver_sql(f"PRAGMA user_version={VERSION}")


@cache
def _tables() -> list[str]:
    """Return the statements that make each table and index that is not there."""
    statements: list[CreateTable | CreateIndex] = []
    for table in metadata.sorted_tables:
        statements.append(CreateTable(table, if_not_exists=True))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [CreateIndex(index, if_not_exists=True) for index in indexes]
    return [str(statement.compile(dialect=Dialect())) for statement in statements]


def _check_columns(engine: Engine) -> None:
    with engine.connect() as bare:
        conn = bare.execution_options(**{READING: True})
        for table in metadata.sorted_tables:
            there = {row[1] for row in conn.exec_driver_sql(f"PRAGMA table_info({table.name})")}
            missing = [column.name for column in table.columns if column.name not in there]
            if missing:
                raise ConfigError(
                    f"its table {table.name} has no {', '.join(missing)}: it is not a journal of "
                    "this program",
                    advice="look at `journal` in the configuration: is it the right file?",
                )


def _prepare(connection: Any, _: object) -> None:
    # SQLAlchemy's documentation, "Serializable isolation / Savepoints / Transactional DDL":
    # the driver must leave BEGIN to us.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


def _begin(conn: Connection) -> None:
    # A writer that begins as a reader can be refused at its first write.
    reading = conn.get_execution_options().get(READING, False)
    bulk.drive(conn, "BEGIN" if reading else "BEGIN IMMEDIATE", ())
