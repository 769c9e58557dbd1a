"""Waits: what of the journal's times hangs on the time of day, and is set right when that jumped.

Promises: everything is read and written inside the caller's transaction. Leaves out: seeing that
the clock jumped (`clock`), and when an object is due by itself (`object_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select, update

from provisioner.journal.schema import lanes, objects


def clock_was_ahead(conn: Connection, now: float, longest: Mapping[str, float]) -> bool:
    """Return whether anything is put off for longer than it can be, or waits since a time to come.

    longest: the most seconds that each lane puts anything off.
    """
    late = [select(objects.c.key).where(objects.c.waiting_since > now)]
    for name, seconds in longest.items():
        latest = now + seconds
        late.append(select(objects.c.key).where(objects.c.lane == name, objects.c.due > latest))
        late.append(
            select(lanes.c.name).where(lanes.c.name == name, lanes.c.breaker_until > latest)
        )
    return any(conn.scalar(statement.limit(1)) is not None for statement in late)


def set_clock(conn: Connection, before: float, now: float, longest: Mapping[str, float]) -> int:
    """Set right what the time of day says of waits, after it jumped.

    before: what it would be now without the jump; now: what it is; longest: the most seconds that
    each lane puts anything off. Nothing is due later than that afterwards, and nothing has waited
    for longer than it has. Return how much was put off for longer, or waited since a time to come.
    """
    by = now - before
    since, moved = objects.c.waiting_since, 0
    if by > 0:
        conn.execute(update(objects).where(since <= before).values(waiting_since=since + by))
    back = func.min(since + by, now) if by < 0 else now
    moved += conn.execute(update(objects).where(since > now).values(waiting_since=back)).rowcount
    for table, lane, column in (
        (objects, objects.c.lane, objects.c.due),
        (lanes, lanes.c.name, lanes.c.breaker_until),
    ):
        for name, seconds in longest.items():
            latest = now + seconds
            sooner = func.min(column + by, latest) if by < 0 else now
            statement = update(table).where(lane == name, column > latest)
            moved += conn.execute(statement.values({column.name: sooner})).rowcount
    return moved
