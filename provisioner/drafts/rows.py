"""Many requests from one table: a template, filled with each row of a CSV file.

Promises: a cell becomes one value, or the entries of one list, and never a key: the template is
read first, and then filled. Each row has the line on which it ends. Leaves out: what is wrong with
the request that a row makes (`request`), and sending it.
"""

from __future__ import annotations

import csv
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from provisioner.contract import InvalidRequest
from provisioner.request.documents import dump, parse
from provisioner.request.encodings import decoded

SIZE = 16 * 1024 * 1024
"""The most bytes of a table."""

ROWS = 10_000
"""The most rows of a table."""

_DELIMITERS = ",;\t|"
_LIST = re.compile(r"[\s,;]+")
_DROPPED: Any = object()
"""Stands for a value whose cells are all empty."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. problem: why it makes no request; '' if it makes one."""

    line: int
    cells: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A request with names of columns in place of values: `$name`, `${name}`."""

    value: Mapping[str, Any]
    columns: frozenset[str]

    def body(self, row: Row) -> bytes:
        """Return the request of a row. A key whose cells are all empty is left out."""
        return dump(_filled(self.value, row.cells)).encode()


def template(data: bytes) -> Template:
    """Return the template in a file's bytes.

    Raises InvalidDocument if it is no document, InvalidRequest if it names no column.
    """
    value = parse(data).value
    columns = frozenset(_columns(value))
    if not columns:
        raise InvalidRequest(
            "the template names no column of the table", expected="values such as $name"
        )
    return Template(value, columns)


def read(data: bytes, template: Template) -> tuple[list[Row], tuple[str, ...]]:
    """Return the rows of a table, and the columns that the template does not use.

    Raises InvalidRequest if the bytes are no table of this template, with what to do.
    """
    if len(data) > SIZE:
        raise InvalidRequest(f"the table has more than {SIZE} bytes", expected="several tables")
    text = decoded(data)
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=_delimiter(lines), strict=True)
    try:
        header = _header(next(reader, []))
        unused = _checked(header, template)
        rows = list(_rows(reader, header))
    except csv.Error as error:
        raise InvalidRequest(f"line {reader.line_num}: {error}", expected="CSV") from None
    if not rows:
        raise InvalidRequest("the table has no row below its first line")
    return rows, unused


def _delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter of the first line: the candidate that it has most often."""
    first = next(iter(lines), "")
    return max(_DELIMITERS, key=first.count)


def _header(cells: Sequence[str]) -> list[str]:
    """Return the names of the columns, as a template writes them: `Full Name` is `full_name`."""
    names = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]
    twice = {name for name, times in Counter(names).items() if name and times > 1}
    if twice:
        raise InvalidRequest(f"line 1: the column {min(twice)!r} is there twice")
    return names


def _checked(header: Sequence[str], template: Template) -> tuple[str, ...]:
    """Return the columns that the template does not use. Raises InvalidRequest for a wrong name."""
    known = sorted(template.columns)
    for name in header:
        near = get_close_matches(name, known, 1, 0.7)
        if name not in known and near and near[0] not in header:
            raise InvalidRequest(
                f"line 1: the template has no column {name!r}",
                expected=f"some of {', '.join(known)}",
                nearest=near[0],
            )
    if not template.columns & set(header):
        raise InvalidRequest(
            "line 1 names no column of the template", expected=f"some of {', '.join(known)}"
        )
    return tuple(name for name in header if name and name not in template.columns)


def _rows(reader: Any, header: Sequence[str]) -> Iterator[Row]:
    for count, cells in enumerate(reader):
        if count >= ROWS:
            raise InvalidRequest(f"the table has more than {ROWS} rows", expected="several tables")
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        wrong = f"{len(cells)} cells for {len(header)} columns" if len(cells) != len(header) else ""
        yield Row(reader.line_num, dict(zip(header, stripped, strict=False)), wrong)


def _columns(value: Any) -> Iterator[str]:
    """Return the columns that a template names."""
    if isinstance(value, str):
        yield from string.Template(value).get_identifiers()
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _columns(inner)


def _entries(item: Any) -> list[Any]:
    """Return the entries that an item of a list stands for: a cell may have several."""
    return [part for part in _LIST.split(item) if part] if isinstance(item, str) else [item]


def _filled(value: Any, cells: Mapping[str, str]) -> Any:
    """Return a part of a template with the cells of a row; _DROPPED if all of them are empty."""
    if isinstance(value, dict):
        parts = {key: _filled(inner, cells) for key, inner in value.items()}
        kept = {key: part for key, part in parts.items() if part is not _DROPPED}
        return kept if kept or not value else _DROPPED
    if isinstance(value, list):
        items = [_filled(inner, cells) for inner in value]
        return [part for item in items if item is not _DROPPED for part in _entries(item)]
    if not isinstance(value, str):
        return value
    names = string.Template(value).get_identifiers()
    if names and not any(cells.get(name) for name in names):
        return _DROPPED
    return string.Template(value).safe_substitute({name: cells.get(name, "") for name in names})
