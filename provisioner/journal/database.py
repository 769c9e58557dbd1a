"""The database of a journal: one SQLite file, and how it is opened, created and checked.

Promises: a file that is not a journal of the current version is not written to. The error names its
path, says why it cannot be used, and what to do. Statements are compiled once in a process, however
many journals it opens. Leaves out: transactions (`journal`), and the content.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.util import LRUCache

from provisioner.contract import ConfigError
from provisioner.journal import bulk, facts, migrations
from provisioner.journal.dialect import SCHEME, Dialect
from provisioner.journal.schema import Spoilt, metadata
from provisioner.system import ulid

REBUILD = "`provisioner journal rebuild` makes a new one from the newest copy and the redo log"

_compact = json.JSONEncoder(separators=(",", ":")).encode
_decoded = json.JSONDecoder().raw_decode


def _written(value: Any) -> str:
    """Return a value as JSON; most lists of steps and objects are empty."""
    return "[]" if value == [] else _compact(value)


_COMPILED: LRUCache[Any, Any] = LRUCache(500)
"""Statements as SQL: with a cache of its own, each journal would compile them again."""


def connect(path: Path) -> Engine:
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
        version = _version_at(path)
        if version == 0:
            _create(engine, path)
        elif version > migrations.VERSION:
            raise migrations.newer(path, version, migrations.VERSION)
        elif version < migrations.VERSION:
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
        raise unusable(path, error) from error
    return engine


def _parsed(text: str) -> Any:
    """Read a cell as `json.loads` does, whose own looks for blanks take longer than most cells."""
    try:
        value, end = _decoded(text)
        return value if end == len(text) else json.loads(text)
    except (ValueError, TypeError):
        raise Spoilt(f"a cell with JSON has {text[:60]!r}") from None


def unusable(path: Path, error: Exception) -> ConfigError:
    """Return an error that says why a file cannot be used as the journal, and what to do."""
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
    )


def _version_at(path: Path) -> int:
    """Return the version of a file without writing to it; 0 if it is missing or empty."""
    if not path.exists() or not path.stat().st_size:
        return 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return migrations.version_of(db)


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
            conn.exec_driver_sql(f"PRAGMA user_version={migrations.VERSION}")


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
        conn = bare.execution_options(**{_READING: True})
        for table in metadata.sorted_tables:
            there = {row[1] for row in conn.exec_driver_sql(f"PRAGMA table_info({table.name})")}
            missing = [column.name for column in table.columns if column.name not in there]
            if missing:
                raise ConfigError(
                    f"its table {table.name} has no {', '.join(missing)}: it is not a journal of "
                    "this program",
                    advice="look at `journal` in the configuration: is it the right file?",
                )


class Kept:
    """The one connection of an engine, kept between transactions; after an error, a new one.

    SQLAlchemy makes one in half the time that SQLite takes for a small transaction. Whoever uses it
    takes turns.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conn: Connection | None = None

    def __del__(self) -> None:
        # SQLAlchemy's own list of connections in use would keep the file open once nobody has this.
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, reading: bool) -> Iterator[Connection]:
        """Give the connection in a transaction, which ends with the block. reading: writes nothing.

        Commits unless the block raises.
        """
        conn = self._open()
        if conn.get_execution_options().get(_READING, False) is not reading:
            conn.execution_options(**{_READING: reading})
        try:
            with conn.begin():
                yield conn
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection up; what it had begun is rolled back."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def _open(self) -> Connection:
        if self._conn is None:
            self._conn = self._engine.connect()
        return self._conn


_READING = "reading"
"""The option of a connection on which nothing is written."""


def _prepare(connection: Any, _: object) -> None:
    # SQLAlchemy's documentation, "Serializable isolation / Savepoints / Transactional DDL":
    # the driver must leave BEGIN to us.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


def _begin(conn: Connection) -> None:
    # A writer that begins as a reader can be refused at its first write.
    reading = conn.get_execution_options().get(_READING, False)
    bulk.drive(conn, "BEGIN" if reading else "BEGIN IMMEDIATE", ())
