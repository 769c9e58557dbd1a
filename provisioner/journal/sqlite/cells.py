"""Cells: whether every cell of a journal in SQLite can be read as what its column holds.

Promises: each cell of each row is read and checked against its column's type. JSON parses, states
are known, each request's body has its digest, the chain of events is intact, and the rows add up to
the sum that the journal keeps. The first error found is returned as text. Leaves out: pages and
indexes, which SQLite checks.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Float, Integer, LargeBinary, Table, Text

from provisioner.journal import audit, facts, sums
from provisioner.journal.dialect import Errors, Spoilt, States
from provisioner.journal.schema import events, metadata, requests
from provisioner.journal.sqlite.copies import reading
from provisioner.objects.states import RequestState

_NEEDED = (facts.JOURNAL, facts.POSITION)
_SHOWN = 60

Row = dict[str, Any]


def wrong(path: Path, version: int) -> str:
    """Return the first error in a journal as text; '' if there is none.

    version: that of its tables. Raises sqlite3.Error if the file cannot be read.
    """
    try:
        kept, total = read(path, version)
    except Spoilt as spoilt:
        return str(spoilt)
    if kept is not None and kept != total:
        return "its rows are not those that were written: a readable cell was changed"
    return ""


def read(path: Path, version: int) -> tuple[int | None, int]:
    """Read everything. Return the stored sum, None if there is none, and the sum of the rows.

    Raises Spoilt at the first wrong cell, sqlite3.Error if the file cannot be read.
    """
    with reading(path) as db:
        db.execute("BEGIN")
        try:
            total = sum(_quickly(db, table) for table in metadata.sorted_tables)
            known = dict(db.execute("SELECT name, value FROM marks").fetchall())
        except (Spoilt, UnicodeDecodeError, sqlite3.OperationalError):
            db.text_factory = bytes  # so that `_name_spoilt` can report text that is not UTF-8
            for table in metadata.sorted_tables:
                _name_spoilt(db, table)
            raise
    for name in _NEEDED:
        if name not in known:
            raise Spoilt(f"its table marks has no {name}")
    for name in known.keys() - facts.NAMES:
        raise Spoilt(f"its table marks has an unknown row {name[:_SHOWN]!r}")
    try:
        position = int(known[facts.POSITION])
    except ValueError:
        raise Spoilt(f"its position is {known[facts.POSITION][:_SHOWN]!r}") from None
    try:
        return sums.read(known.get(facts.SUM), version, position), total % sums.MODULUS
    except ValueError:
        raise Spoilt(f"its sum is {known[facts.SUM][:_SHOWN]!r}") from None


def _quickly(db: sqlite3.Connection, table: Table) -> int:
    """Check a table as fast as possible, and return the sum of its rows.

    SQLite checks types and JSON, and the driver decodes. Raises Spoilt, or the driver's error;
    neither says where.
    """
    unlike = " OR ".join(map(_unlike, table.columns))
    if db.execute(f"SELECT 1 FROM {table.name} WHERE {unlike} LIMIT 1").fetchone():
        raise Spoilt(f"table {table.name} has a cell that does not fit its column")
    if table is events:
        follow = _chained()
        names = [column.name for column in table.columns]
        rows = db.execute(f"SELECT {', '.join(names)} FROM events ORDER BY seq")
        if any(follow(dict(zip(names, row, strict=True))) for row in rows):
            raise Spoilt("the chain of events is broken")
        return 0
    if table is requests:
        accept = _as_accepted()
        rows = db.execute("SELECT state, digest, body FROM requests")
        if any(accept(dict(zip(_ACCEPTED, row, strict=True))) for row in rows):
            raise Spoilt("a request is not what was accepted")
    listed = ", ".join(f'"{name}"' for name in sums.columns(table.name))
    of, name = sums.of, table.name
    return sum(of(name, row) for row in db.execute(f"SELECT {listed} FROM {name}"))


_ACCEPTED = ("state", "digest", "body")


def _unlike(column: Column[Any]) -> str:
    """Return the SQL condition that a cell does not fit its column."""
    name = f'"{column.name}"'
    for kind, stored in _STORED.items():
        if isinstance(column.type, kind):
            wrong = f"typeof({name}) <> '{stored}'"
            if kind in (JSON, Errors):
                wrong += f" OR NOT json_valid({name})"
            if isinstance(column.type, States):
                listed = ", ".join(f"'{state}'" for state in column.type.states)
                wrong += f" OR {name} NOT IN ({listed})"
            if kind is Boolean:
                wrong += f" OR {name} NOT IN (0, 1)"
            return f"({name} IS NOT NULL AND ({wrong}))" if column.nullable else f"({wrong})"
    raise AssertionError(column)


_STORED: dict[type, str] = {
    JSON: "text",
    Errors: "text",
    Boolean: "integer",
    Float: "real",
    Integer: "integer",
    LargeBinary: "blob",
    Text: "text",
}
"""How SQLite stores a column, by its type; the first match counts."""


def _name_spoilt(db: sqlite3.Connection, table: Table) -> None:
    """Raise Spoilt for the first wrong cell of a table. Texts come as bytes."""
    names = [column.name for column in table.columns]
    reads = [(column.name, _reader(column)) for column in table.columns]
    follow = {events.name: _chained, requests.name: _as_accepted}.get(table.name, _anything)()
    listed = ", ".join(f'"{name}"' for name in names)
    order = " ORDER BY seq" if table is events else ""
    for number, *cells in db.execute(f"SELECT rowid, {listed} FROM {table.name}{order}"):
        row = {}
        for (name, reader), cell in zip(reads, cells, strict=True):
            try:
                row[name] = reader(cell)
            except (ValueError, TypeError):
                shown = repr(cell)[:_SHOWN]
                raise Spoilt(f"table {table.name}, row {number}: {name} is {shown}") from None
        problem = follow(row)
        if problem:
            raise Spoilt(f"table {table.name}, row {number}: {problem}")


def _reader(column: Column[Any]) -> Callable[[Any], Any]:
    """Return the function that reads a column's cells; it raises an error for a wrong one."""
    if isinstance(column.type, States):
        member = _member_of(column.type.states)
        return _or_none(member) if column.nullable else member
    for kind, reader in _READERS.items():
        if isinstance(column.type, kind):
            return _or_none(reader) if column.nullable else reader
    raise AssertionError(column)


def _or_none(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda cell: None if cell is None else reader(cell)


def _text(cell: Any) -> str:
    if not isinstance(cell, bytes):
        raise TypeError
    return cell.decode()


def _member_of(states: type[StrEnum]) -> Callable[[Any], str]:
    return lambda cell: states(_text(cell))


def _json(cell: Any) -> str:
    text = _text(cell)
    json.loads(text)
    return text


def _whole(cell: Any) -> int:
    if not isinstance(cell, int):
        raise TypeError
    return cell


def _truth(cell: Any) -> int:
    if cell not in (0, 1):
        raise ValueError
    return _whole(cell)


def _number(cell: Any) -> float:
    if not isinstance(cell, float):
        raise TypeError
    return cell


def _bytes(cell: Any) -> bytes:
    if not isinstance(cell, bytes):
        raise TypeError
    return cell


_READERS: dict[type, Callable[[Any], Any]] = {
    JSON: _json,
    Errors: _json,
    Boolean: _truth,
    Float: _number,
    Integer: _whole,
    LargeBinary: _bytes,
    Text: _text,
}
"""The reader of each type of column; the first match counts."""


def _anything() -> Callable[[Row], str]:
    return lambda _: ""


def _as_accepted() -> Callable[[Row], str]:
    """Return a check of a request's body against its digest."""

    def follow(row: Row) -> str:
        # The journal does not keep the content of a refused request from a writer without a rule.
        kept = row["body"] or row["state"] != RequestState.REFUSED
        if kept and row["digest"] and hashlib.sha256(row["body"]).hexdigest() != row["digest"]:
            return "its content is not what was accepted"
        return ""

    return follow


def _chained() -> Callable[[Row], str]:
    """Return a check of each event against the one before it."""
    last: Row = {}

    def follow(row: Row) -> str:
        nonlocal last
        if last and (row["seq"], row["previous"]) != (last["seq"] + 1, last["hash"]):
            return f"event {row['seq']} does not follow the event before it"
        last = row
        if audit.seal(row) != row["hash"]:
            return f"event {row['seq']} is not what was written: its hash differs"
        return ""

    return follow
