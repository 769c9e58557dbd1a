"""Bulk writes, many rows at once: one statement, compiled once, and given all its rows in one call.

Promises: the same SQL and the same values as SQLAlchemy's own executemany, which prepares each row
again: for a batch of requests that takes more time than the database. Leaves out: single rows, and
what returns rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler

Values = Callable[[Mapping[str, Any]], Any]
"""Makes what the driver takes of one row."""


def run(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement for each row.

    statement: one that lives as long as the program, as it is remembered; rows: all with the names
    that the first has, which are the columns of an insert, and the statement's parameters.
    """
    if rows:
        sql, values = _compiled(statement, conn.dialect, tuple(rows[0]))
        conn.exec_driver_sql(sql, [values(row) for row in rows])


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
    """Take a row's values in their order, with what the driver wants otherwise put right."""
    take = itemgetter(*order)
    special = [(place, how) for place, name in enumerate(order) if (how := prepare[name])]

    def values(row: Mapping[str, Any]) -> Any:
        found = take({**constant, **row} if constant else row)
        if special:
            found = list(found)
            for place, how in special:
                found[place] = how(found[place])
        return dict(zip(order, found, strict=True)) if named else tuple(found)

    return values
