"""Waits: the journal's times that depend on the time of day, and are corrected after it jumped.

Promises: everything is read and written inside the caller's transaction. Leaves out: noticing that
the clock jumped (`clock`), and when an object is normally due (`object_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select, update

from provisioner.journal.schema import lanes, objects


def clock_was_ahead(conn: Connection, now: float, longest: Mapping[str, float]) -> bool:
    """Return True if a wait is longer than it can be, or began in the future.

    longest: the most seconds for which each lane puts anything off.
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
    """Correct the times of waits after the time of day jumped.

    before: the time without the jump; now: the time with it; longest: the most seconds for which
    each lane puts anything off. Afterwards nothing is due later than that, and nothing has waited
    longer than it really has. Return how many waits were too long, or began in the future.
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
