"""What journals, their copies and their redo logs hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from provisioner.journal.sqlite import copies
from provisioner.recovery import redo_log


def dump(path: Path) -> list[str]:
    """Return all contents of a database, except its checksum."""
    with closing(sqlite3.connect(path)) as db:
        return sorted(line for line in db.iterdump() if "VALUES('sum'," not in line)


def replayed(copy: Path, directory: Path) -> list[str]:
    """Return the contents of a copy after the log was replayed on it."""
    identity, position = copies.position_of(copy)
    with copies.redoing(copy, portion=1000) as redo:
        for one in redo_log.read(directory, identity, position):
            redo(one.number, one.did)
    return dump(copy)


def table(path: Path, name: str, but: str = "") -> list[object]:
    """Return the rows of a table, without some columns."""
    with closing(sqlite3.connect(path)) as db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
        kept = ", ".join(f'"{column}"' for column in columns if column not in but.split())
        return sorted(db.execute(f"SELECT {kept} FROM {name}").fetchall(), key=repr)
