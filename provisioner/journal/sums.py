"""The sum of a journal's rows, kept with each transaction: it reveals a cell changed from outside.

Promises: the sum is stored with the number of the transaction and the version of the tables, so
that a sum of other rows is ignored. Leaves out: events, which are a chain of their own, request
bodies, which have a digest, and noticing what is written, which each database does in its own way.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

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
    """Return what a row adds to the sum. cells: as the driver returns them, of `columns`."""
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


class Sum(Protocol):
    """What a database keeps: by how much the current transaction moves the sum."""

    moved: int
