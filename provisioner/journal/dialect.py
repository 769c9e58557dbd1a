"""The dialect: where SQLite's SQL differs from that of other databases, and cells of our own.

Promises: every module that writes statements takes these differences from here. Leaves out: how a
database keeps its cells, and connecting: each database's folder has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    Dialect,
    TypeDecorator,
    UnaryExpression,
    and_,
    bindparam,
    func,
    types,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.operators import custom_op

from provisioner.objects.errors import Error

__all__ = [
    "IDS",
    "Errors",
    "Spoilt",
    "States",
    "chunks",
    "cut",
    "folded",
    "is_project",
    "is_subject",
    "lies_in",
    "unindexed",
    "upsert",  # an insert with `on_conflict_do_...`
]


_CHUNK = 500
"""Values in one IN list: below every database's limit on parameters."""

IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
"""The values of an IN list, as `chunks` cuts them."""


Text = TypeVar("Text", bound=str)
Thing = TypeVar("Thing")


def chunks(values: Collection[Text]) -> Iterator[list[Text]]:
    """Cut values into lists that fit an IN list of any database."""
    ordered = list(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def cut(
    things: Iterable[Thing], weight_of: Callable[[Thing], int], most: int
) -> Iterator[list[Thing]]:
    """Cut things, in their order, into parts of at most some weight; what weighs more is alone."""
    some: list[Thing] = []
    weight = 0
    for thing in things:
        more = weight_of(thing)
        if some and weight + more > most:
            yield some
            some, weight = [], 0
        some.append(thing)
        weight += more
    if some:
        yield some


class Spoilt(Exception):
    """A cell is not what its column holds."""


class States(types.Text):
    """A text that is read as a member of an enumeration. Raises Spoilt if it names none."""

    inherit_cache = True

    def __init__(self, states: type[StrEnum]) -> None:
        super().__init__()
        self.states = states

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Return the function that turns a cell into a member."""
        members: dict[str | None, StrEnum | None] = {None: None}
        members.update({str(member): member for member in self.states})

        def process(cell: Any) -> Any:
            try:
                return members[cell]
            except KeyError:
                raise Spoilt(f"a cell with a state has {cell[:60]!r}") from None

        return process


class Errors(TypeDecorator[Error]):
    """An error as JSON. Raises Spoilt if a cell has something else."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Return the function that reads a cell; nearly all have no error."""
        read = super().result_processor(dialect, coltype)
        return read and (lambda cell: None if cell is None else read(cell))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return the function that writes a cell; nearly all have no error."""
        write = super().bind_processor(dialect)
        return write and (lambda error: None if error is None else write(error))

    def process_bind_param(self, value: Error | None, dialect: Dialect) -> Any:
        """Return the JSON value to write."""
        return None if value is None else value.words()

    def process_result_value(self, value: Any, dialect: Dialect) -> Error | None:
        """Return the error that was written."""
        if value is None:
            return None
        if not isinstance(value, dict) or "message" not in value:
            raise Spoilt(f"a cell with an error has {str(value)[:60]!r}")
        return Error.read(value)


class _Unindexed(UnaryExpression[Any]):
    inherit_cache = True


@compiles(_Unindexed, "postgresql")
def _as_it_is(element: _Unindexed, compiler: Any, **words: Any) -> str:
    """PostgreSQL counts values by itself."""
    return str(compiler.process(element.element, **words))


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column by which rows are matched, and not found: another one has fewer of a value.

    SQLite knows how many rows a value has only if somebody counts them (ANALYZE).
    """
    return _Unindexed(column, operator=custom_op("+"), type_=column.type)


def lies_in(column: ColumnElement[str], subject: str) -> ColumnElement[bool]:
    """Match claimants and subjects inside a subject: `project:cf1/user:jdoe` is in `project:cf1`.

    This is a range, not LIKE: SQLite's LIKE matches `CF1` with `cf1`, and reads the whole table.
    """
    after = chr(ord("/") + 1)
    return and_(column > f"{subject}/", column < f"{subject}{after}")


def is_project(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Match projects, and what is inside them."""
    return and_(column >= "project:", column < "project;")


def is_subject(column: ColumnElement[str], subject: str) -> ColumnElement[bool]:
    """Match a subject. Routes make one group of `CF3` and `cf3`: a code counts in any letters."""
    if not subject.startswith("project:"):
        return column == subject
    return and_(is_project(column), func.lower(column) == folded(subject))


def folded(subject: str) -> str:
    """Return a subject so that two texts for one are equal: a project's code in lower case."""
    return subject.lower() if subject.startswith("project:") else subject
