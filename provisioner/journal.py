"""The journal: one database for requests, claims and objects, and its transactions.

Promises: what a transaction wrote is on disk when it returns (SQLite: write-ahead log,
synchronous=FULL), or not at all. Leaves out: what is written (`records`, `ledger`, `agenda`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
)
from sqlalchemy.pool import StaticPool

from provisioner.contract import ConfigError
from provisioner.tables import metadata

_compact = json.JSONEncoder(separators=(",", ":")).encode


class Journal:
    """One open database.

    A service has one writer at a time: `transaction` takes turns. Command-line readers open the
    same file by themselves.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open the journal, making its tables where there are none.

        Raises ConfigError where the directory is missing or the database cannot be opened.
        """
        if not path.parent.is_dir():
            raise ConfigError(
                f"the journal's directory {path.parent} is missing", advice="run `provisioner init`"
            )
        engine = create_engine(
            f"sqlite:///{path}",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "timeout": 30},
            json_serializer=_compact,
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        try:
            metadata.create_all(engine)
        except Exception as error:
            raise ConfigError(
                f"the journal {path} cannot be opened: {getattr(error, 'orig', None) or error}",
                advice="see its owner and mode; a damaged one must be restored from a copy",
            ) from error
        return cls(engine)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection; what was written on it is durable after the block."""
        with self._turn, self._engine.begin() as conn:
            yield conn

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database and holds up no writer."""
        with self._turn, self._engine.connect() as bare:
            conn = bare.execution_options(reading=True)
            with conn.begin():
                yield conn

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()


def _prepare(connection: Any, _: object) -> None:
    # SQLAlchemy's documentation, "Serializable isolation / Savepoints / Transactional DDL":
    # the driver must leave BEGIN to us.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


def _begin(conn: Connection) -> None:
    # A writer that begins as a reader can be refused when it first writes.
    reading = conn.get_execution_options().get("reading", False)
    conn.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
