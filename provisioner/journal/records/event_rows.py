"""Events of requests, as they are told: what happened when.

Promises: reads only, inside the caller's transaction. Leaves out: the chain, and adding to it
(`audit`).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.schema import events


def events_of(conn: Connection, request: str) -> list[tuple[float, str, str]]:
    """List a request's events: (time, kind, text)."""
    rows = conn.execute(
        select(events.c.at, events.c.kind, events.c.text)
        .where(events.c.request == request)
        .order_by(events.c.seq)
    )
    return [(row.at, row.kind, row.text) for row in rows]


def why_held(conn: Connection, ids: Collection[str]) -> dict[str, str]:
    """Say of held requests who or what held them last, and why."""
    found: dict[str, str] = {}
    for part in chunks(ids):
        rows = conn.execute(
            select(events.c.request, events.c.text)
            .where(events.c.request.in_(part), events.c.kind == "held")
            .order_by(events.c.seq)
        )
        found.update({row.request: row.text for row in rows})
    return found


def events_after(conn: Connection, seq: int) -> list[tuple[int, str, str, str]]:
    """List what happened to requests after an event: (number, request, kind, text)."""
    rows = conn.execute(
        select(events.c.seq, events.c.request, events.c.kind, events.c.text)
        .where(events.c.seq > seq, events.c.request.is_not(None))
        .order_by(events.c.seq)
    )
    return [(row.seq, row.request, row.kind, row.text) for row in rows]


def last_event(conn: Connection) -> int:
    """Return the number of the last event; 0 where there is none."""
    return int(conn.scalar(select(func.max(events.c.seq))) or 0)


def noted(conn: Connection, ids: Collection[str], kind: str) -> list[str]:
    """Return those requests that have an event of a kind, oldest first."""
    statement = select(events.c.request).where(events.c.request.in_(IDS), events.c.kind == kind)
    found = {who for part in chunks(ids) for who in conn.scalars(statement, {"b_ids": part})}
    return sorted(found)


def lately(conn: Connection, seconds: float, most: int) -> list[str]:
    """List requests of which the events of so many seconds before the newest one tell.

    most: events that are looked at.
    """
    newest = select(func.max(events.c.seq)).scalar_subquery()
    end = select(events.c.at).where(events.c.seq == newest).scalar_subquery()
    statement = (
        select(events.c.request)
        .where(events.c.seq > newest - most, events.c.at >= end - seconds)
        .where(events.c.request.is_not(None))
        .distinct()
    )
    return sorted(conn.scalars(statement))
