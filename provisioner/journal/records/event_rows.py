"""Events of requests: what happened, and when.

Promises: reads only, inside the caller's transaction. Leaves out: the chain, and adding to it
(`audit`).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.schema import events
from provisioner.system.ulid import RequestId

UNFLUSHED = 600.0
"""Seconds before the newest event in which writes may be lost after a power cut."""

_MOST = 200_000
"""The most events that are looked at for that."""

_AFTER = (
    select(events.c.seq, events.c.request, events.c.kind, events.c.text)
    .where(events.c.seq > bindparam("b_seq"), events.c.request.is_not(None))
    .order_by(events.c.seq)
)

_LAST = select(func.max(events.c.seq))


def events_of(conn: Connection, request: RequestId) -> list[tuple[float, str, str]]:
    """List a request's events: (time, kind, text)."""
    rows = conn.execute(
        select(events.c.at, events.c.kind, events.c.text)
        .where(events.c.request == request)
        .order_by(events.c.seq)
    )
    return [(row.at, row.kind, row.text) for row in rows]


def why_held(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, str]:
    """Return who or what last held each of some held requests, and why."""
    reasons: dict[RequestId, str] = {}
    for part in chunks(ids):
        rows = conn.execute(
            select(events.c.request, events.c.text)
            .where(events.c.request.in_(part), events.c.kind == "held")
            .order_by(events.c.seq)
        )
        reasons.update({row.request: row.text for row in rows})
    return reasons


def events_after(conn: Connection, seq: int) -> list[tuple[int, RequestId, str, str]]:
    """List what happened to requests after an event: (number, request, kind, text)."""
    rows = conn.execute(_AFTER, {"b_seq": seq})
    return [(row.seq, row.request, row.kind, row.text) for row in rows]


def newest_of_kinds(conn: Connection, kinds: Collection[str], limit: int) -> list[RequestId]:
    """List the requests of the newest events of some kinds, the newest first."""
    statement = (
        select(events.c.request)
        .where(events.c.kind.in_(list(kinds)), events.c.request.is_not(None))
        .order_by(events.c.seq.desc())
        .limit(limit)
    )
    return list(conn.scalars(statement))


def last_event(conn: Connection) -> int:
    """Return the number of the last event; 0 if there is none."""
    return int(conn.scalar(_LAST) or 0)


def with_event(conn: Connection, ids: Collection[RequestId], kind: str) -> list[RequestId]:
    """Return those of some requests that have an event of a kind, oldest first."""
    statement = select(events.c.request).where(events.c.request.in_(IDS), events.c.kind == kind)
    found = {who for part in chunks(ids) for who in conn.scalars(statement, {"b_ids": part})}
    return sorted(found)


def last_facts(conn: Connection, request: RequestId, kind: str) -> dict[str, Any]:
    """Return what programs read of a request's last event of a kind; nothing if it has none."""
    statement = (
        select(events.c.facts)
        .where(events.c.request == request, events.c.kind == kind)
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    facts: dict[str, Any] = json.loads(conn.scalar(statement) or "{}")
    return facts


def flushed(conn: Connection, served: float) -> float:
    """Return a time before which all was filed, also after a power cut.

    served: when files were certainly written. Both in seconds since the epoch.
    """
    newest = conn.scalar(select(events.c.at).order_by(events.c.seq.desc()).limit(1))
    return min(served, newest or 0.0) - UNFLUSHED


def recent(conn: Connection, since: float) -> list[RequestId]:
    """List requests with an event since a time, in seconds since the epoch, among the newest."""
    newest = select(func.max(events.c.seq)).scalar_subquery()
    statement = (
        select(events.c.request)
        .where(events.c.seq > newest - _MOST, events.c.at >= since)
        .where(events.c.request.is_not(None))
        .distinct()
    )
    return sorted(conn.scalars(statement))
