"""Rows: all that a journal has, as its driver has it, to be compared and copied.

Promises: a cell is read and written as it is, flags apart, which are whole numbers here: what is
copied from one database into another has the same sum. Leaves out: facts of a database itself, and
the position, which moves on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Boolean, Connection, Table, delete, select, type_coerce
from sqlalchemy.types import NULLTYPE

from provisioner.journal import bulk, facts, sums
from provisioner.journal.schema import marks, metadata

_PORTION = 5000
"""Rows that are read and written together."""

_OWN = (facts.VERSION, facts.SUM, facts.POSITION, facts.MOVED, facts.HOME)

Row = tuple[Any, ...]

Counted = Mapping[str, tuple[int, int]]
"""By table: how many rows there are, and the sum of them."""


def copy(reading: Connection, writing: Connection) -> None:
    """Put all rows of a journal into another one, in the place of what is there."""
    for table in reversed(metadata.sorted_tables):
        gone = delete(table)
        writing.execute(gone.where(marks.c.name != facts.VERSION) if table is marks else gone)
    as_flag = bool if writing.dialect.supports_native_boolean else int
    for table in metadata.sorted_tables:
        write, flags = _written(writing, table), _flags(table)
        for cells in _portions(reading, table):
            bulk.drive(writing, write, [_with(row, flags, as_flag) for row in cells])


def counted(conn: Connection) -> Counted:
    """Count all rows, and sum them up."""
    return {table.name: _total(conn, table) for table in metadata.sorted_tables}


def _written(conn: Connection, table: Table) -> str:
    """Return the statement that writes a row as the driver has it."""
    names = [conn.dialect.identifier_preparer.quote(name) for name, _ in table.columns.items()]
    values = ", ".join(["?" if conn.dialect.paramstyle == "qmark" else "%s"] * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"


def _with(row: Row, flags: Collection[int], as_flag: Callable[[Any], Any]) -> Row:
    """Return a row with other cells for its flags."""
    if not flags:
        return row
    return tuple(as_flag(c) if at in flags and c is not None else c for at, c in enumerate(row))


def _total(conn: Connection, table: Table) -> tuple[int, int]:
    number = total = 0
    for cells in _portions(conn, table):
        number += len(cells)
        total += sum(sums.of(table.name, row) for row in cells)
    return number, total % sums.MODULUS


def _portions(conn: Connection, table: Table) -> Iterator[list[Row]]:
    """Yield the rows of a table as the driver has them, with flags as whole numbers."""
    asked = select(*(type_coerce(column, NULLTYPE) for column in table.columns))
    if table is marks:
        asked = asked.where(marks.c.name.not_in(_OWN))
    flags = _flags(table)
    found = conn.execute(asked, execution_options={"yield_per": _PORTION})
    for part in found.partitions():
        yield [_with(tuple(row), flags, int) for row in part]


def _flags(table: Table) -> list[int]:
    """Return the places of flags among the columns."""
    return [at for at, one in enumerate(table.columns) if isinstance(one.type, Boolean)]
