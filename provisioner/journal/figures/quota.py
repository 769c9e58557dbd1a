"""Use of quotas as it was last read, what people were warned of, and a point a day for the trend.

Promises: everything is read and written inside the caller's transaction. Leaves out: reading use
from a backend (`quotas.watch`), and what it means (`quotas.levels`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, or_, select

from provisioner.contract import Key
from provisioner.journal import bulk
from provisioner.journal.dialect import chunks, upsert
from provisioner.journal.schema import quota, quota_days

Of = tuple[Key, str]
"""An object and what is counted of it: space or files."""

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Level:
    """How full something was last, as a level, and of which level people were last warned."""

    level: float
    told: float


def levels(conn: Connection) -> dict[Of, Level]:
    """Return the level of everything that was read before."""
    rows = conn.execute(select(quota))
    return {(row.key, row.what): Level(row.level, row.told) for row in rows}


def put(conn: Connection, now: Mapping[Of, Level], at: float) -> None:
    """Write levels."""
    statement = upsert(quota)
    fresh = {name: statement.excluded[name] for name in ("level", "told", "at")}
    rows = [
        {"key": key, "what": what, "level": one.level, "told": one.told, "at": at}
        for (key, what), one in now.items()
    ]
    if rows:
        bulk.run(
            conn,
            statement.on_conflict_do_update(index_elements=["key", "what"], set_=fresh),
            rows,
        )


def last(conn: Connection) -> float | None:
    """Return when use was last read; None: never."""
    at: float | None = conn.scalar(select(func.max(quota_days.c.at)))
    return at


def note(conn: Connection, used: Mapping[Of, int], at: float, before: float) -> None:
    """Write a point of each trend, in the place of an earlier one of the day; drop what is old.

    at: now; a point of a later time was written while the clock was ahead, and is dropped, too;
    before: the time before whose day points are dropped.
    """
    statement = upsert(quota_days)
    fresh = {name: statement.excluded[name] for name in ("used", "at")}
    rows = [
        {"key": key, "what": what, "day": int(at // _DAY), "used": number, "at": at}
        for (key, what), number in used.items()
    ]
    if rows:
        bulk.run(
            conn,
            statement.on_conflict_do_update(index_elements=["key", "what", "day"], set_=fresh),
            rows,
        )
    old = or_(quota_days.c.day < int(before // _DAY), quota_days.c.at > at)
    conn.execute(delete(quota_days).where(old))


def newest(conn: Connection, keys: Collection[Key]) -> dict[Key, tuple[float, dict[str, int]]]:
    """Return what was last read of objects, with the time: seconds since the epoch."""
    found: dict[Key, tuple[float, dict[str, int]]] = {}
    for part in chunks(keys):
        some = select(quota_days).where(quota_days.c.key.in_(part)).order_by(quota_days.c.day)
        for row in conn.execute(some):
            at, used = found.get(row.key, (0.0, {}))
            found[row.key] = max(at, row.at), {**used, row.what: row.used}
    return found


def points(conn: Connection, keys: Collection[Key]) -> dict[Of, Sequence[tuple[float, int]]]:
    """Return the points of each trend, oldest first: (seconds since the epoch, use)."""
    wanted = set(keys)
    found: dict[Of, list[tuple[float, int]]] = {}
    for row in conn.execute(select(quota_days).order_by(quota_days.c.day)):
        if row.key in wanted:
            found.setdefault((row.key, row.what), []).append((row.at, row.used))
    return dict(found)
