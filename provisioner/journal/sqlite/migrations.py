"""Schema versions of a journal in SQLite: migrations from any older one to the current one.

Promises: each step and its version number are one transaction, so that a crash leaves the version
before or after it. A complete, flushed copy of the old file is kept beside it before the first
step. Leaves out: the steps (`steps`), and when a journal is migrated (`recovery.startup`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.journal.sqlite.copies import duplicate, reading
from provisioner.journal.sqlite.steps import STEPS, Step


def version_of(db: sqlite3.Connection) -> int:
    """Return a database's version; 0 if it is empty.

    Raises ConfigError if it is not a journal.
    """
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if not {"requests", "claims", "objects", "events"} <= tables:
        raise ConfigError(
            "it is a database, but not a journal: it has other tables",
            advice="look at `journal` in the configuration: is it the right file?",
        )
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version) or 1


def version_at(path: Path) -> int:
    """Return a file's version without writing to it; 0 if it is missing or empty.

    Raises as `version_of` does, and sqlite3.Error if it cannot be read.
    """
    if not path.exists() or not path.stat().st_size:
        return 0
    with reading(path) as db:
        return version_of(db)


def migrate(path: Path, steps: Sequence[Step] = STEPS) -> Path | None:
    """Migrate a journal that nobody has open to the newest version.

    Return the path of the copy of the old file; None if there was nothing to do. Raises ConfigError
    if the journal is newer than this program, sqlite3.Error if it cannot be read.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        version, newest = version_of(db), 1 + len(steps)
        if version in (0, newest):
            return None
        if version > newest:
            raise newer(path, version, newest)
        kept = path.with_name(f"{path.name}.v{version}")
        if not kept.exists():
            duplicate(db, kept)
        db.execute("PRAGMA synchronous=FULL")
        for number, step in enumerate(steps[version - 1 :], version + 1):
            db.execute("BEGIN IMMEDIATE")
            try:
                step(db)
                db.execute(f"PRAGMA user_version={number}")
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        return kept


def newer(path: Path, version: int, known: int) -> ConfigError:
    """Return the error that a newer program wrote a journal."""
    return ConfigError(
        f"the journal {path} has version {version}, but this program knows only {known}: a newer "
        "program wrote it",
        advice=f"install that program again, or restore the copy {path.name}.v{known} that it "
        "kept, and lose what was done since",
    )
