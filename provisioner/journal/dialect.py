"""The dialect: where SQLite's SQL is not that of every database.

Promises: whoever writes statements takes from here what differs, so that another database needs
another module like this one. Leaves out: connecting, and the file (`database`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam
from sqlalchemy.dialects.sqlite import insert as upsert

__all__ = ["IDS", "chunks", "lies_in", "upsert"]  # `upsert`: an insert with `on_conflict_do_...`

_CHUNK = 500
"""Names in one IN list: below every database's limit on parameters."""

IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
"""The names of an IN list, as `chunks` cuts them."""


def chunks(values: Collection[str]) -> Iterator[list[str]]:
    """Cut values into lists that fit an IN list of any database."""
    ordered = list(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def lies_in(column: ColumnElement[str], subject: str) -> ColumnElement[bool]:
    """Match what lies in a subject, as `project:cf1/user:jdoe` does in `project:cf1`.

    A range, and no LIKE: SQLite's LIKE takes `CF1` for `cf1`, and reads the whole table.
    """
    after = chr(ord("/") + 1)
    return and_(column > f"{subject}/", column < f"{subject}{after}")
