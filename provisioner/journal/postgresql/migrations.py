"""Migrations of journals in PostgreSQL.

Promises: each step is one transaction, and moves the version with it: an interrupted migration goes
on. Leaves out: what was before the first version that PostgreSQL had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from provisioner.contract import ConfigError

Step = Callable[[Any], None]
"""Changes the tables, by one of the driver's connections."""

FIRST = 20
"""The version with which PostgreSQL began."""


def _twenty_first(conn: Any) -> None:
    """Version 21: which host has which lane, and which hosts there are."""
    name = 'TEXT COLLATE "C" NOT NULL'
    conn.execute(
        f'CREATE TABLE holds (lane {name}, epoch BIGINT NOT NULL, host TEXT COLLATE "C", '
        "since FLOAT NOT NULL, PRIMARY KEY (lane))"
    )
    conn.execute(
        f"CREATE TABLE hosts (name {name}, roles {name}, version {name}, since FLOAT NOT NULL, "
        "heard FLOAT NOT NULL, ahead FLOAT NOT NULL, PRIMARY KEY (name, roles))"
    )


STEPS: tuple[Step, ...] = (_twenty_first,)
"""From version FIRST to the next, and so on, in plain SQL. A change of `schema` needs one here, and
one in `sqlite.migrations`."""

_READ = "SELECT value FROM marks WHERE name = 'version'"
_WRITE = "UPDATE marks SET value = %s WHERE name = 'version'"
_THERE = "SELECT to_regclass('marks') IS NOT NULL"


def migrate(conn: Any, place: str, steps: Sequence[Step] = STEPS) -> int | None:
    """Migrate a journal that nobody serves. Return the version before; None if it was the newest.

    Raises ConfigError if the journal is newer than this program.
    """
    if not conn.execute(_THERE).fetchone()[0]:
        return None  # whoever opens it makes it, or says what it is
    row = conn.execute(_READ).fetchone()
    newest = FIRST + len(steps)
    before = newest if row is None else int(row[0])
    if before == newest:
        return None
    if not FIRST <= before < newest:
        raise newer(place, before, newest)
    for number, step in enumerate(steps[before - FIRST :], before + 1):
        step(conn)
        conn.execute(_WRITE, [str(number)])
        conn.commit()
    return before


def newer(place: str, version: int, known: int) -> ConfigError:
    """Return the error that a newer program wrote a journal."""
    return ConfigError(
        f"the journal {place} has version {version}, but this program knows only {known}: a newer "
        "program wrote it",
        advice="install that program again, or restore a copy that was made before, and lose what "
        "was done since",
    )
