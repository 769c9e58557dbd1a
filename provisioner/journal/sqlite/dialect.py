"""The dialect: how SQLAlchemy speaks to a journal in SQLite.

Promises: two journals of a process share what was compiled. Leaves out: the driver's own settings
(`file`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.dialects import registry, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite


class _Json(sqlite.JSON):
    """JSON as text. What SQLAlchemy does around reading a cell takes longer than reading it."""

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any]:
        """Return the function that reads a cell."""
        read = dialect._json_deserializer
        return lambda cell: None if cell is None else read(cell)


class Dialect(SQLiteDialect_pysqlite):
    """How SQLAlchemy speaks to every journal: what it compiled for one is right for all."""

    supports_statement_cache = True
    colspecs = {**SQLiteDialect_pysqlite.colspecs, JSON: _Json}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialect)

    def __hash__(self) -> int:
        return hash(Dialect)


SCHEME = "sqlite+journal"
"""How the address of a database begins that is spoken to so."""

registry.register(SCHEME.replace("+", "."), __name__, Dialect.__name__)
