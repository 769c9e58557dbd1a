"""Triggers: by which SQLite tells what a transaction's rows add to the sum of all.

Promises: a write on a connection that a `Sums` watches moves the sum by the old and the new rows.
Leaves out: what a row adds, and where the sum is stored (`sums`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from provisioner.journal.sums import SUMMED, columns, of


class Sums:
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
