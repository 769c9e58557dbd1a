"""The connection of a journal, kept between its transactions, and the lock of whose turn it is.

Promises: one connection of an engine; after an error, a new one. Leaves out: who takes the lock
(`journal`), and what begins a transaction (each database's folder).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

READING = "reading"
"""The option of a connection on which nothing is written."""


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
        if conn.get_execution_options().get(READING, False) is not reading:
            conn.execution_options(**{READING: reading})
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


class Lock:
    """The lock of the one connection, which knows who has it or waits for it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.here: Counter[int] = Counter()

    def __enter__(self) -> None:
        self.here[threading.get_ident()] += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self.here[threading.get_ident()] -= 1
