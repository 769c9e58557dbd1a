"""Bulk: statements of the hot path, compiled once in a process, and run by the driver itself.

Promises: the same SQL, values, rows and errors as SQLAlchemy's own execution. That prepares each
row again, which takes longer than the database for a batch of requests; and for one statement it
takes longer than the database, which a request that is alone waits for a dozen times. Leaves out:
statements that write and return rows.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Connection, Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from provisioner.journal.dialect import IDS, chunks

Values = Callable[[Mapping[str, Any]], Any]
"""Makes the driver's parameters from one row."""

Watch = Callable[[str, Any], None]
"""Gets each statement that `drive` runs, and its values: a row, or a list of rows."""

_WATCH, DRIVER = "watch", "driver"
"""What is noted at a connection: who is told, and what runs statements: the driver's own, unless
its database has noted another one."""


class Cursor(Protocol):
    """What the driver returned: rows, if it was a query."""

    @property
    def rowcount(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class _Driven(Protocol):
    """The driver's connection."""

    def execute(self, sql: str, values: Any, /) -> Cursor: ...
    def executemany(self, sql: str, rows: Any, /) -> Cursor: ...


def run(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement for each row; a server may get it with the next question, or the commit.

    statement: lives as long as the program, because it is cached; rows: all have the names that the
    first one has: the columns of an insert, and the statement's parameters.
    """
    if rows:
        _ran(conn, statement, rows)


def count(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> int:
    """Do the same now, after all that was to be written. Return how many rows it wrote."""
    if not rows:
        return 0
    cursor = _ran(conn, statement, rows)
    try:
        return cursor.rowcount
    except _errors(conn) as error:
        raise _translated(conn, str(statement), rows, error) from error


def _ran(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> Cursor:
    sql, values = _written(statement, conn.dialect, tuple(rows[0]))
    return drive(conn, sql, [values(row) for row in rows])


@lru_cache(maxsize=128)
def _written(
    statement: Insert | Update, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Values]:
    columns = statement.table.columns if isinstance(statement, Insert) else ()
    keys = [name for name in names if name in columns]
    compiled = statement.compile(dialect=dialect, column_keys=keys)
    assert isinstance(compiled, SQLCompiler)
    positions = compiled.positiontup
    order = list(compiled.binds) if positions is None else positions
    prepare = {name: processor(compiled, name) for name in order}
    constant = {
        name: bind.effective_value for name, bind in compiled.binds.items() if name not in names
    }
    return str(compiled), _values(order, prepare, constant, named=positions is None)


def _values(
    order: Sequence[str],
    prepare: Mapping[str, Callable[[Any], Any] | None],
    constant: Mapping[str, Any],
    *,
    named: bool,
) -> Values:
    """Return a function that puts a row's values in order and converts them for the driver."""
    [first, *others] = order
    # With one name, it would return a value, and no row.
    take = itemgetter(first, *others) if others else lambda row: (row[first],)
    special = [(place, how) for place, name in enumerate(order) if (how := prepare[name])]

    def values(row: Mapping[str, Any]) -> Any:
        parameters = take({**constant, **row} if constant else row)
        if special:
            parameters = list(parameters)
            for place, how in special:
                parameters[place] = how(parameters[place])
        return dict(zip(order, parameters, strict=True)) if named else tuple(parameters)

    return values


# Reading.


class _Place:
    """A value that differs: that of a name, or one of its list. process: makes it the driver's."""

    __slots__ = ("at", "name", "process")

    def __init__(self, name: str, at: int | None = None) -> None:
        self.name = name
        self.at = at
        self.process: Callable[[Any], Any] | None = None

    def of(self, given: Mapping[str, Any]) -> Any:
        """Return the value among those that were given."""
        value = given[self.name] if self.at is None else given[self.name][self.at]
        return value if self.process is None else self.process(value)


def watch(conn: Connection, notify: Watch) -> None:
    """Tell a function what `drive` runs from now on, on the database connection of this one."""
    conn.info[_WATCH] = notify


def drive(conn: Connection, sql: str, values: Any) -> Cursor:
    """Run SQL on the database connection. values: a row, or a list of rows to write.

    Raises DBAPIError as SQLAlchemy does.
    """
    noted = conn.info
    if (notify := noted.get(_WATCH)) is not None:
        notify(sql, values)
    database: _Driven | None = noted.get(DRIVER)
    if database is None:
        database = noted[DRIVER] = conn.connection.driver_connection
    assert database is not None
    try:
        if type(values) is list:
            return database.executemany(sql, values)
        return database.execute(sql, values)
    except _errors(conn) as error:
        raise _translated(conn, sql, values, error) from error


def among(
    conn: Connection, statement: Select[Any], ids: Collection[str], **values: Any
) -> list[Any]:
    """Run a query with `IDS` for any number of them, as `rows` does. values: of the others."""
    found: list[Any] = []
    for part in chunks(ids):
        found += rows(conn, statement, {**values, IDS.key: part})
    return found


def rows(conn: Connection, statement: Select[Any], values: Mapping[str, Any]) -> list[Any]:
    """Run a query and return its rows, as tuples with the names of the columns.

    statement: lives as long as the program, because it is cached; values: of its parameters, with a
    list that is not empty for the values of an IN.
    """
    if not conn.in_transaction():
        conn.begin()  # as each execution of SQLAlchemy's does
    lists = {name: _padded(value) for name, value in values.items() if type(value) is list}
    lengths = tuple((name, len(value)) for name, value in lists.items())
    sql, places, make = _asked(statement, conn.dialect, tuple(values), lengths)
    given = {**values, **lists}
    bound = [place.of(given) if type(place) is _Place else place for place in places]
    cursor = drive(conn, sql, tuple(bound))
    try:
        return [make(row) for row in cursor]
    except _errors(conn) as error:
        raise _translated(conn, sql, bound, error) from error


def _padded(values: Sequence[Any]) -> list[Any]:
    """Repeat the last value, so that lists of few lengths, and few statements, are ever run."""
    length = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (length - len(values))]


@lru_cache(maxsize=256)
def _asked(
    statement: Select[Any],
    dialect: Dialect,
    names: tuple[str, ...],
    lengths: tuple[tuple[str, int], ...],
) -> tuple[str, list[Any], Callable[[Sequence[Any]], Any]]:
    """Return the SQL of a query, its values with places for those that differ, and its rows."""
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    places: dict[str, Any] = {name: _Place(name) for name in names}
    for name, length in lengths:
        places[name] = [_Place(name, at) for at in range(length)]
    state = compiled.construct_expanded_state(places)
    values = []
    for name in state.positiontup or ():
        value = state.parameters[name]
        process = state.processors.get(name) or processor(compiled, name)
        if isinstance(value, _Place):
            value.process = process
        elif process is not None:
            value = process(value)
        values.append(value)
    return state.statement, values, _maker(statement, dialect)


def processor(compiled: SQLCompiler, name: str) -> Callable[[Any], Any] | None:
    """Return the function that makes a parameter's values the driver's; None if there is none."""
    bind = compiled.binds.get(name)
    dialect = compiled.dialect
    return None if bind is None else bind.type.dialect_impl(dialect).bind_processor(dialect)


def _maker(statement: Select[Any], dialect: Dialect) -> Callable[[Sequence[Any]], Any]:
    """Return a function that makes a row of the driver's."""
    columns = list(statement.selected_columns)
    names = [str(column.key) for column in columns]
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    types = [column.type.dialect_impl(dialect) for column in columns]
    reading = enumerate(kind.result_processor(dialect, None) for kind in types)
    special = [(place, read) for place, read in reading if read is not None]
    if not special:
        made: Callable[[Sequence[Any]], Any] = row._make
        return made

    def make(cells: Sequence[Any]) -> Any:
        values = list(cells)
        for place, read in special:
            values[place] = read(values[place])
        return row._make(values)

    return make


def _errors(conn: Connection) -> type[Exception]:
    """Return the class of the driver's errors; asked only when there is one."""
    driver: Any = conn.dialect.loaded_dbapi
    errors: type[Exception] = driver.Error
    return errors


def _translated(conn: Connection, sql: str, values: Any, error: Exception) -> Exception:
    found: Any = DBAPIError.instance(sql, values, error, _errors(conn), dialect=conn.dialect)
    assert isinstance(found, Exception)
    return found
