"""The sum of a journal's rows, kept with each transaction: finds a cell changed from outside.

Promises: whoever writes rows on a connection that a `Sum` keeps moves the sum by what they were and
what they become; it is told with the number of the transaction and the version of the tables, so
that one that does not belong to the rows as they are counts for nothing. Leaves out: events, which
are a chain of their own, and contents, which have a digest.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

from provisioner.journal.schema import companions, events, marks, metadata, requests

MODULUS = 1 << 64
MARK = "sum"
"""The name of the mark that has it, as VERSION:POSITION:SUM."""

_POSITION = "position"

SUMMED = [table for table in metadata.sorted_tables if table is not events]
"""The tables that are in the sum."""


def columns(table: str) -> list[str]:
    """List the columns of a table that are in the sum, in their order."""
    found = [column.name for column in metadata.tables[table].columns]
    return [name for name in found if (table, name) != (requests.name, requests.c.body.name)]


def of(table: str, cells: tuple[Any, ...]) -> int:
    """Return what a row adds to the sum; cells: as SQLite gives them, of `columns`."""
    if table == marks.name and cells[0] in (MARK, _POSITION):
        return 0
    if table == companions.name:
        cells = tuple(zlib.crc32(cell) if isinstance(cell, bytes) else cell for cell in cells)
    return zlib.crc32(f"{table}{cells!a}".encode("ascii"))


def told(version: int, position: int, total: int) -> str:
    """Write the mark."""
    return f"{version}:{position}:{total:016x}"


def read(mark: str | None, version: int, position: int) -> int | None:
    """Read the mark; None where there is none, or an older program has written since.

    Raises ValueError where it is none.
    """
    if mark is None:
        return None
    of, at, total = mark.split(":")
    if int(of) > version or int(at) > position:
        raise ValueError(mark)
    return int(total, 16) if (int(of), int(at)) == (version, position) else None


class Sum:
    """What a connection adds to the sum in the transaction that is under way."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Have a connection keep it."""
        self.moved = 0
        db.create_function("sum_of_rows", -1, self._move)
        db.execute("PRAGMA temp_store=MEMORY")
        for table in SUMMED:
            names = columns(table.name)
            minus = _call(-1, table.name, "OLD", names)
            plus = _call(1, table.name, "NEW", names)
            for verb, calls in (
                ("INSERT", plus),
                ("DELETE", minus),
                ("UPDATE", f"{minus}, {plus}"),
            ):
                db.execute(
                    f"CREATE TEMP TRIGGER sum_{table.name}_{verb} AFTER {verb} "
                    f"ON main.{table.name} BEGIN SELECT {calls}; END"
                )

    def _move(self, sign: int, table: str, *cells: Any) -> None:
        self.moved += sign * of(table, cells)


def _call(sign: int, table: str, row: str, names: Sequence[str]) -> str:
    listed = ", ".join(f'{row}."{name}"' for name in names)
    return f"sum_of_rows({sign}, '{table}', {listed})"
