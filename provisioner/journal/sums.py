"""The sum of a journal's rows, kept with each transaction: it reveals a cell changed from outside.

Promises: a write on a connection that a `Sum` watches moves the sum by the old and the new rows.
The sum is stored with the number of the transaction and the version of the tables, so that a sum of
other rows is ignored. Leaves out: events, which are a chain of their own, and request bodies, which
have a digest.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

from provisioner.journal.schema import companions, events, marks, metadata, requests

MODULUS = 1 << 64
NAME = "sum"
"""The name of its row in the metadata table `marks`; the value is VERSION:POSITION:SUM."""

_POSITION = "position"

SUMMED = [table for table in metadata.sorted_tables if table is not events]
"""The tables that the sum covers."""


def columns(table: str) -> list[str]:
    """List the columns of a table that the sum covers, in their order."""
    found = [column.name for column in metadata.tables[table].columns]
    return [name for name in found if (table, name) != (requests.name, requests.c.body.name)]


def of(table: str, cells: tuple[Any, ...]) -> int:
    """Return what a row adds to the sum. cells: as SQLite returns them, of `columns`."""
    if table == marks.name and cells[0] in (NAME, _POSITION):
        return 0
    if table == companions.name:
        cells = tuple(zlib.crc32(cell) if isinstance(cell, bytes) else cell for cell in cells)
    return zlib.crc32(f"{table}{cells!a}".encode("ascii"))


def encode(version: int, position: int, total: int) -> str:
    """Return the value for the table `marks`: VERSION:POSITION:SUM."""
    return f"{version}:{position}:{total:016x}"


def read(value: str | None, version: int, position: int) -> int | None:
    """Return the sum in a value of `encode`; None if it is unset or of other rows.

    An older program that wrote since leaves it behind. Raises ValueError if the text is malformed.
    """
    if value is None:
        return None
    of, at, total = value.split(":")
    if int(of) > version or int(at) > position:
        raise ValueError(value)
    return int(total, 16) if (int(of), int(at)) == (version, position) else None


class Sum:
    """The amount by which the current transaction moves the sum."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Make a connection keep it."""
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
