"""Copies: journals as files that nobody has open, read, copied, and brought forward.

Promises: a copy is made completely or not at all; a file that is only looked at is not written to.
Leaves out: which copy is whose, and when one is made (`recovery`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from provisioner.system.disks import flush

Unreadable = sqlite3.Error
"""Raised for a file that cannot be read, or is not what it should be."""

Did = Sequence[tuple[str, list[list[Any]]]]
"""The statements of a transaction, each with its rows, as a redo log gives them back."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file without writing to it. Raises Unreadable."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        yield db


def position_of(path: Path) -> tuple[str, int]:
    """Return the id of a file's journal, and its position.

    Raises Unreadable, KeyError or ValueError if it has none.
    """
    with reading(path) as db:
        values = dict(db.execute("SELECT name, value FROM marks").fetchall())
    return values["journal"], int(values["position"])


def moved_to(path: Path) -> str | None:
    """Return the place to which a file's journal was moved; None if it was not."""
    with reading(path) as db:
        row = db.execute("SELECT value FROM marks WHERE name = 'moved'").fetchone()
    return None if row is None else str(row[0])


def note_moved(path: Path, to: str | None) -> None:
    """Note in a file to which place its journal was moved; None: where it is now, others know."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM marks WHERE name = 'moved'")
        if to is not None:
            db.execute("INSERT INTO marks (name, value) VALUES ('moved', ?)", [to])


def newest_event(path: Path) -> str | None:
    """Return the hash of the newest event; None if there is none. Raises Unreadable."""
    with reading(path) as db:
        newest = db.execute("SELECT hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return None if newest is None else str(newest[0])


def damage(path: Path) -> str:
    """Read every page. Return what is damaged; '' if nothing is. Raises Unreadable."""
    with reading(path) as db:
        lines = db.execute("PRAGMA quick_check(1)").fetchall()
    return "" if lines == [("ok",)] else " ".join(str(lines[0][0]).split())


def copy(source: Path, target: Path, check: Callable[[Path], None] = lambda _: None) -> None:
    """Copy a journal into a new file, even while it is written to, and flush it.

    check: raises an error to keep the copy from getting its name. Raises Unreadable, OSError.
    """
    with reading(source) as db:
        duplicate(db, target, check)


def duplicate(
    db: sqlite3.Connection, target: Path, check: Callable[[Path], None] = lambda _: None
) -> None:
    """Do what `copy` does, with a database that is open."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(sqlite3.connect(partial)) as made:
            db.backup(made)
            made.execute("PRAGMA journal_mode=DELETE")
        check(partial)
        flush(partial)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    flush(target.parent)


def redo(path: Path, number: int, did: Did) -> None:
    """Commit a transaction that only the redo log has. Raises Unreadable if it does not fit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        _apply(db, number, did)
        db.execute("COMMIT")


@contextmanager
def redoing(path: Path, portion: int) -> Iterator[Callable[[int, Did], None]]:
    """Give a function that adds a transaction of the log: its number, and what it did.

    portion: of how many one transaction is made here. The file has all of them after the block, and
    is not flushed. The function raises Unreadable if one does not fit.
    """
    added = 0

    def add(number: int, did: Did) -> None:
        nonlocal added
        _apply(db, number, did)
        added += 1
        if added % portion == 0:
            db.execute("COMMIT")
            db.execute("BEGIN")

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN")
        yield add
        db.execute("COMMIT")


def _apply(db: sqlite3.Connection, number: int, did: Did) -> None:
    for sql, rows in did:
        db.executemany(sql, rows)
    db.execute("UPDATE marks SET value = ? WHERE name = 'position'", [str(number)])
