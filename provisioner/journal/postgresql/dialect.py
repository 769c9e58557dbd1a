"""The dialect: how SQLAlchemy speaks to a journal in PostgreSQL.

Promises: a cell is what it is in SQLite. JSON is text, a whole number has 64 bits, a text is
compared by its bytes. Values go by position, so that `bulk` runs both in the same way. Leaves out:
the driver's connection (`driven`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON, Column, Float, LargeBinary, String, cast
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg


class _Float(Float[float]):
    """A number that the driver reads as one."""

    render_bind_cast = True

    def result_processor(self, dialect: Any, coltype: object) -> None:
        """Return None: a cell is read as it is."""


class _Bytes(LargeBinary):
    """Bytes, as the redo log gets them, too."""

    def bind_processor(self, dialect: Any) -> None:
        """Return None: the driver writes bytes as they are."""

    def result_processor(self, dialect: Any, coltype: object) -> None:
        """Return None: it reads bytes."""


class _Json(JSON):
    """JSON as text."""

    def bind_processor(self, dialect: Any) -> Callable[[Any], Any] | None:
        """Return the function that writes a cell."""
        write = dialect._json_serializer

        def process(value: Any) -> Any:
            if value is None and self.none_as_null:
                return None
            return write(None if value is JSON.NULL else value)

        return process

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any]:
        """Return the function that reads a cell."""
        read = dialect._json_deserializer
        return lambda cell: None if cell is None else read(cell)


class _Statements(PGCompiler_psycopg):
    def _on_conflict_target(self, clause: Any, **words: Any) -> Any:
        """Write whose conflict it is; SQLite's clause, which statements have, knows no others."""
        clause.constraint_target = None
        return super()._on_conflict_target(clause, **words)  # type: ignore[no-untyped-call]

    def visit_min_func(self, function: Any, **words: Any) -> str:
        """Write the least of values, or of a column's."""
        return self._of_values("least", "min", function, **words)

    def visit_max_func(self, function: Any, **words: Any) -> str:
        """Write the greatest of values, or of a column's."""
        return self._of_values("greatest", "max", function, **words)

    def _of_values(self, several: str, one: str, function: Any, **words: Any) -> str:
        name = several if len(function.clauses) > 1 else one
        return f"{name}{self.function_argspec(function, **words)}"

    def visit_json_getitem_op_binary(
        self, binary: Any, operator: Any, _cast_applied: bool = False, **words: Any
    ) -> str:
        """Write a value of a cell with JSON, which is a text."""
        if not _cast_applied and binary.type._type_affinity is not JSON:
            return str(self.process(cast(binary, binary.type), _cast_applied=True, **words))
        whole, key = (self.process(side, **words) for side in (binary.left, binary.right))
        return f"(CAST({whole} AS JSON) {'->>' if _cast_applied else '->'} {key})"

    def visit_substr_func(self, function: Any, **words: Any) -> str:
        """Write a part of a text, whose place and length have 32 bits here."""
        text, *places = (self.process(clause, **words) for clause in function.clauses)
        return f"substr({', '.join([text, *(f'CAST({place} AS INTEGER)' for place in places)])})"


class _Types(PGTypeCompiler):
    def visit_INTEGER(self, type_: Any, **words: Any) -> str:  # noqa: N802
        return "BIGINT"

    def visit_JSON(self, type_: Any, **words: Any) -> str:  # noqa: N802
        return "TEXT"


class _Tables(PGDDLCompiler):
    def get_column_specification(self, column: Column[Any], **words: Any) -> str:
        kind = self.dialect.type_compiler_instance.process(column.type, type_expression=column)
        collated = ' COLLATE "C"' if kind == "TEXT" else ""
        needed = "" if column.nullable else " NOT NULL"
        given = self.get_column_default_string(column)
        first = "" if given is None else f" DEFAULT {given}"
        return f"{self.preparer.format_column(column)} {kind}{collated}{first}{needed}"


_OTHERS = {kind: as_ for kind, as_ in PGDialect_psycopg.colspecs.items() if kind is not String}
"""Without texts: `States` would be read as one of the dialect's own."""


class Dialect(PGDialect_psycopg):
    """How SQLAlchemy speaks to every journal: what it compiled for one is right for all."""

    supports_statement_cache = True
    statement_compiler = _Statements
    type_compiler_cls = _Types
    ddl_compiler = _Tables
    colspecs = {**_OTHERS, Float: _Float, JSON: _Json, LargeBinary: _Bytes}

    def __init__(self, **words: Any) -> None:
        super().__init__(paramstyle="format", **words)  # type: ignore[no-untyped-call]

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back, if the server is there: else it has done so, and nothing has to be logged."""
        if not dbapi_connection.closed:
            super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialect)

    def __hash__(self) -> int:
        return hash(Dialect)


SCHEME = "postgresql+journal"
"""How the address of a database begins that is spoken to so."""

registry.register(SCHEME.replace("+", "."), __name__, Dialect.__name__)
