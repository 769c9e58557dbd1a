"""The pipeline: statements that go to the server together, by libpq itself.

Promises: what is written is with the server, in its order, before the next question is, and before
the commit. So a transaction waits for the server at each question and at its end, and for nothing
else; what the server refuses is raised there, or, if it is a value that no server takes, at once.
Each statement is prepared once. Leaves out: SQL (`dialect`), and SQLAlchemy's own statements, which
are run by the driver after all of this (`driven`).
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

_MOST = 500
"""The most statements that the server keeps ready: more than the program runs again and again."""

_ROWS = 1000
"""Rows after which the server gets what is to be written: all of them wait in memory."""

_COMMIT = "COMMIT"

_Row = tuple[Sequence[bytes | None], Sequence[int] | None]
"""The values of a row, and their formats, if they are not all text."""


class Answer:
    """What the server said to a statement: a `bulk.Cursor`."""

    def __init__(self, pipeline: Pipeline, sql: str, rows: Sequence[_Row]) -> None:
        self.sql = sql
        self.rows = rows
        self.results: list[pq.abc.PGresult] = []
        self._pipeline = pipeline

    @property
    def rowcount(self) -> int:
        """How many rows were written, or found."""
        self._pipeline.settle()
        return sum(result.command_tuples or 0 for result in self.results)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._pipeline.read(self.results[-1]))


class Pipeline:
    """A connection's; the connection is in no transaction but those that are begun here."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._pg = conn.pgconn
        self._tx = Transformer(conn)
        self._poll = select.poll()
        self._names: dict[str, bytes] = {}
        self._numbers = count()
        self._later: list[Answer] = []

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Answer:
        """Run a statement for each row, soon."""
        answer = Answer(self, sql, [_written(row) for row in rows])
        self._later.append(answer)
        if len(rows) >= _ROWS:
            self.settle()
        return answer

    def execute(self, sql: str, values: Sequence[Any]) -> Answer:
        """Run a statement now, after all that is to be written. Raises psycopg.Error."""
        answer = Answer(self, sql, [_written(values)])
        self._later.append(answer)
        self.settle()
        return answer

    def commit(self) -> None:
        """Commit, with all that is to be written. Raises psycopg.Error."""
        if not self._later and self._pg.transaction_status == pq.TransactionStatus.IDLE:
            return
        [done] = self.execute(_COMMIT, ()).results
        if done.command_status != _COMMIT.encode():
            raise psycopg.errors.InFailedSqlTransaction("the transaction was rolled back")

    def forget(self) -> None:
        """Never write what is to be written."""
        self._later = []

    def settle(self) -> None:
        """Have the server take what is to be written. Raises psycopg.Error."""
        if not self._later:
            return
        later, self._later = self._later, []
        try:
            self._pg.enter_pipeline_mode()
            waiting = self._send(later)
            error = self._receive(waiting)
            self._pg.exit_pipeline_mode()
        except BaseException:
            self._pg.finish()  # what comes next would be taken for the answer to another statement
            raise
        if error is not None:
            raise error

    def read(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        """Return the rows of a result."""
        self._tx.set_pgresult(result)
        return self._tx.load_rows(0, result.ntuples, tuple)

    # Private.

    def _send(self, later: Sequence[Answer]) -> list[Callable[[pq.abc.PGresult], None]]:
        """Give statements to libpq. Return who gets each result that comes."""
        waiting: list[Callable[[pq.abc.PGresult], None]] = []
        new: dict[str, bytes] = {}
        if len(self._names) > _MOST:
            self._names = {}
            self._pg.send_query_params(b"DEALLOCATE ALL", None)
            waiting.append(lambda _: None)
        for answer in later:
            sql = answer.sql
            name = self._names.get(sql) or new.get(sql)
            if name is None:
                name = new[sql] = b"p%d" % next(self._numbers)
                self._pg.send_prepare(name, _numbered(sql).encode())
                waiting.append(partial(self._prepared, sql, name))
            for values, formats in answer.rows:
                self._pg.send_query_prepared(name, values, formats)
                waiting.append(answer.results.append)
        self._pg.pipeline_sync()
        return waiting

    def _prepared(self, sql: str, name: bytes, _: pq.abc.PGresult) -> None:
        """Know a statement that the server has ready."""
        self._names[sql] = name

    def _receive(
        self, waiting: Sequence[Callable[[pq.abc.PGresult], None]]
    ) -> psycopg.Error | None:
        """Hand results to who waits for them. Return what the server refused first."""
        error: psycopg.Error | None = None
        left = iter(waiting)
        while True:
            self._communicate()
            result = self._pg.get_result()
            if result is None:  # ends the results of a statement
                if self._pg.status != pq.ConnStatus.OK:
                    raise error or psycopg.OperationalError("the connection is lost")
                continue
            match result.status:
                case pq.ExecStatus.PIPELINE_SYNC:
                    return error
                case pq.ExecStatus.COMMAND_OK | pq.ExecStatus.TUPLES_OK:
                    next(left)(result)
                case pq.ExecStatus.PIPELINE_ABORTED:
                    pass
                case _:
                    error = error or error_from_result(result)

    def _communicate(self) -> None:
        """Wait until a result is there, and send what is not sent yet."""
        sending = bool(self._pg.flush())
        while self._pg.is_busy():
            self._poll.register(self._pg.socket, select.POLLIN | (select.POLLOUT if sending else 0))
            self._poll.poll()
            self._pg.consume_input()
            sending = bool(self._pg.flush())


_PLACE = re.compile(r"%(s|%)")


def _numbered(sql: str) -> str:
    """Write the places of values as the server has them."""
    number = 0

    def place(found: re.Match[str]) -> str:
        nonlocal number
        if found[1] == "%":
            return "%"
        number += 1
        return f"${number}"

    return _PLACE.sub(place, sql)


def _written(values: Sequence[Any]) -> _Row:
    """Write the values of a row, whose types the statement knows. Raises psycopg.DataError."""
    cells = [None if value is None else _WRITE[type(value)](value) for value in values]
    if bytes in map(type, values):
        return cells, [int(type(value) is bytes) for value in values]
    return cells, None


def _text(value: str) -> bytes:
    if "\0" in value:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


class _Kinds(dict[type, Callable[[Any], bytes]]):
    """How each type of value is written; a member of an enumeration as what it is."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        for base in (str, int, float):
            if issubclass(kind, base):
                self[kind] = self[base]
                return self[base]
        raise psycopg.ProgrammingError(f"a journal has no {kind.__name__}")


_WRITE = _Kinds(
    {
        str: _text,
        int: lambda value: b"%d" % value,
        float: lambda value: repr(value).encode(),
        bool: lambda value: b"t" if value else b"f",
        bytes: bytes,
    }
)
