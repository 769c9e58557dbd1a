"""Bulk writes: one statement, compiled once, which takes all its rows in one call.

Promises: the same SQL and the same values as SQLAlchemy's own executemany. That prepares each row
again, which takes longer than the database for a batch of requests. For the same reason a single
row of the hot path is written so. Leaves out: statements that return rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler

Values = Callable[[Mapping[str, Any]], Any]
"""Makes the driver's parameters from one row."""


def run(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run a statement for each row. Return how many rows of the table it wrote.

    statement: lives as long as the program, because it is cached; rows: all have the names that the
    first one has: the columns of an insert, and the statement's parameters.
    """
    if not rows:
        return 0
    sql, values = _compiled(statement, conn.dialect, tuple(rows[0]))
    return conn.exec_driver_sql(sql, [values(row) for row in rows]).rowcount


@lru_cache(maxsize=128)
def _compiled(
    statement: Insert | Update, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Values]:
    columns = statement.table.columns if isinstance(statement, Insert) else ()
    keys = [name for name in names if name in columns]
    compiled = statement.compile(dialect=dialect, column_keys=keys)
    assert isinstance(compiled, SQLCompiler)
    positions = compiled.positiontup
    order = list(compiled.binds) if positions is None else positions
    prepare = {name: _preparation(compiled, name, dialect) for name in order}
    constant = {
        name: bind.effective_value for name, bind in compiled.binds.items() if name not in names
    }
    return str(compiled), _values(order, prepare, constant, named=positions is None)


def _preparation(compiled: SQLCompiler, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    return compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)


def _values(
    order: Sequence[str],
    prepare: Mapping[str, Callable[[Any], Any] | None],
    constant: Mapping[str, Any],
    *,
    named: bool,
) -> Values:
    """Return a function that puts a row's values in order and converts them for the driver."""
    take = itemgetter(*order)
    special = [(place, how) for place, name in enumerate(order) if (how := prepare[name])]

    def values(row: Mapping[str, Any]) -> Any:
        parameters = take({**constant, **row} if constant else row)
        if special:
            parameters = list(parameters)
            for place, how in special:
                parameters[place] = how(parameters[place])
        return dict(zip(order, parameters, strict=True)) if named else tuple(parameters)

    return values
