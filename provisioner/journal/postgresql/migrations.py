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


def _twenty_second(conn: Any) -> None:
    """Version 22: in which intake's spool a file was taken, and what intakes have to remember."""
    name = 'TEXT COLLATE "C" NOT NULL'
    conn.execute(f"ALTER TABLE requests ADD COLUMN spool {name} DEFAULT ''")
    conn.execute(
        f"CREATE TABLE spools (id {name}, host {name}, place {name}, mark {name}, "
        "served FLOAT NOT NULL, PRIMARY KEY (id))"
    )
    conn.execute(
        "CREATE TABLE shutting (seq BIGINT NOT NULL, uid BIGINT NOT NULL, at FLOAT NOT NULL, "
        f"told {name}, teller {name}, PRIMARY KEY (seq))"
    )


def _twenty_third(conn: Any) -> None:
    """Version 23: requests that hosts without a spool hand on."""
    text = 'TEXT COLLATE "C"'
    conn.execute(
        f"CREATE TABLE handed (id {text} NOT NULL, name {text} NOT NULL, body BYTEA NOT NULL, "
        f"taker {text}, PRIMARY KEY (id))"
    )


def _twenty_fourth(conn: Any) -> None:
    """Version 24: an index of the parts of steps that are not over."""
    conn.execute(
        "CREATE INDEX step_objects_unended ON step_objects (request, state, step, item) "
        "WHERE state = 'waiting' OR state = 'due'"
    )


def _twenty_fifth(conn: Any) -> None:
    """Version 25: the date that a manifest says of a person whom another writer has."""
    conn.execute("ALTER TABLE words ADD COLUMN ends FLOAT")
    conn.execute('ALTER TABLE words ADD COLUMN ended_by TEXT COLLATE "C"')
    conn.execute("CREATE INDEX words_ends ON words (ends) WHERE ends IS NOT NULL")


def _twenty_sixth(conn: Any) -> None:
    """Version 26: an index of the events that name new users."""
    conn.execute("CREATE INDEX events_new_users ON events (at) WHERE kind = 'new-user'")


def _twenty_seventh(conn: Any) -> None:
    """Version 27: when a repair of each object that differs was last asked for."""
    conn.execute("ALTER TABLE drift ADD COLUMN repairs JSON NOT NULL DEFAULT '{}'")


def _twenty_eighth(conn: Any) -> None:
    """Version 28: an index of the parts of steps that belong to users."""
    conn.execute("CREATE INDEX step_objects_users ON step_objects (request, item) WHERE item <> ''")


def _twenty_ninth(conn: Any) -> None:
    """Version 29: from which request's manifest a request follows."""
    conn.execute('ALTER TABLE requests ADD COLUMN follows TEXT COLLATE "C"')


STEPS: tuple[Step, ...] = (
    _twenty_first,
    _twenty_second,
    _twenty_third,
    _twenty_fourth,
    _twenty_fifth,
    _twenty_sixth,
    _twenty_seventh,
    _twenty_eighth,
    _twenty_ninth,
)
"""From version FIRST to the next, and so on, in plain SQL. A change of `schema` needs one here, and
one in `sqlite.steps`."""

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


def behind(conn: Any) -> bool:
    """Return True if there is a journal of an earlier version."""
    if not conn.execute(_THERE).fetchone()[0]:
        return False
    row = conn.execute(_READ).fetchone()
    return row is not None and int(row[0]) < FIRST + len(STEPS)


def newer(place: str, version: int, known: int) -> ConfigError:
    """Return the error that a newer program wrote a journal."""
    return ConfigError(
        f"the journal {place} has version {version}, but this program knows only {known}: a newer "
        "program wrote it",
        advice="install that program again, or restore a copy that was made before, and lose what "
        "was done since",
    )
