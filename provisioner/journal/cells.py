"""Cells: whether every row of a journal reads as what it is.

Promises: each cell of each row is read and held against its column's type; JSON is parsed, states
are known ones, a request's content is what was accepted, the chain of events holds, and the rows
come to the sum that the journal keeps of them. What is wrong first is told, as text. Leaves out:
pages and indexes, which SQLite checks.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Float, Integer, LargeBinary, Table, Text

from provisioner.journal import audit, facts, sums
from provisioner.journal.schema import Errors, Spoilt, States, events, metadata, requests
from provisioner.objects.states import RequestState

_NEEDED = (facts.JOURNAL, facts.POSITION)
_SHOWN = 60

Row = dict[str, Any]


def wrong(path: Path, version: int) -> str:
    """Say what is wrong in a journal; '' where nothing is. version: that of its tables.

    Raises sqlite3.Error where it cannot be read.
    """
    try:
        kept, total = read(path, version)
    except Spoilt as spoilt:
        return str(spoilt)
    if kept is not None and kept != total:
        return "its rows are not what was written: a cell was changed, and reads well"
    return ""


def read(path: Path, version: int) -> tuple[int | None, int]:
    """Read all; return the sum that was kept, None where there is none, and what the rows come to.

    Raises Spoilt for the first cell that is wrong, sqlite3.Error.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        try:
            total = sum(_quickly(db, table) for table in metadata.sorted_tables)
            known = dict(db.execute("SELECT name, value FROM marks").fetchall())
        except (Spoilt, UnicodeDecodeError, sqlite3.OperationalError):
            db.text_factory = bytes  # what is no UTF-8 is ours to say
            for table in metadata.sorted_tables:
                _name_spoilt(db, table)
            raise
    for name in _NEEDED:
        if name not in known:
            raise Spoilt(f"its table marks has no {name}")
    for name in known.keys() - facts.NAMES:
        raise Spoilt(f"its table marks has {name[:_SHOWN]!r}, which is no mark")
    try:
        position = int(known[facts.POSITION])
    except ValueError:
        raise Spoilt(f"its position is {known[facts.POSITION][:_SHOWN]!r}") from None
    try:
        return sums.read(known.get(facts.SUM), version, position), total % sums.MODULUS
    except ValueError:
        raise Spoilt(f"its sum is {known[facts.SUM][:_SHOWN]!r}") from None


def _quickly(db: sqlite3.Connection, table: Table) -> int:
    """Check a table, as fast as can be; return what its rows come to.

    SQLite looks at types and JSON, and the driver decodes. Raises Spoilt, or what the driver does,
    without a word of where.
    """
    unlike = " OR ".join(map(_unlike, table.columns))
    if db.execute(f"SELECT 1 FROM {table.name} WHERE {unlike} LIMIT 1").fetchone():
        raise Spoilt(f"table {table.name} has a cell that is not as its column")
    if table is events:
        follow = _chained()
        names = [column.name for column in table.columns]
        rows = db.execute(f"SELECT {', '.join(names)} FROM events ORDER BY seq")
        if any(follow(dict(zip(names, row, strict=True))) for row in rows):
            raise Spoilt("the chain of events does not hold")
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
    """Write the condition under which a cell is not as its column."""
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
"""How SQLite stores a column, by its type; the first that fits."""


def _name_spoilt(db: sqlite3.Connection, table: Table) -> None:
    """Raise Spoilt naming the first cell of a table that is wrong; texts come as bytes."""
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
        said = follow(row)
        if said:
            raise Spoilt(f"table {table.name}, row {number}: {said}")


def _reader(column: Column[Any]) -> Callable[[Any], Any]:
    """Return what makes a value of a column's cell; it raises where it is none."""
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
"""By the type of a column; the first that fits."""


def _anything() -> Callable[[Row], str]:
    return lambda _: ""


def _as_accepted() -> Callable[[Row], str]:
    """Hold a request against what is known of all of them."""

    def follow(row: Row) -> str:
        # Of what a writer in no rule left behind the content is not kept.
        kept = row["body"] or row["state"] != RequestState.REFUSED
        if kept and row["digest"] and hashlib.sha256(row["body"]).hexdigest() != row["digest"]:
            return "its content is not what was accepted"
        return ""

    return follow


def _chained() -> Callable[[Row], str]:
    """Hold an event against the one before."""
    last: Row = {}

    def follow(row: Row) -> str:
        nonlocal last
        if last and (row["seq"], row["previous"]) != (last["seq"] + 1, last["hash"]):
            return f"the event {row['seq']} does not follow the one that is there"
        last = row
        if audit.seal(row) != row["hash"]:
            return f"the event {row['seq']} is not what was written: its hash is another"
        return ""

    return follow
