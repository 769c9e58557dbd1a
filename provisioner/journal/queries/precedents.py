"""Precedents: what was accepted before under an id, an order, or with the same bytes.

Promises: reads only, inside the caller's transaction. Leaves out: what it makes of a request that
comes now (`duplicates`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import requests
from provisioner.objects.states import RequestState


@dataclass(frozen=True, slots=True)
class Known:
    """What a request that comes again is compared with."""

    id: str
    state: RequestState
    digest: str


_EARLIER = (
    select(
        requests.c.id,
        requests.c.state,
        requests.c.digest,
        requests.c.writer,
        requests.c.writer_id,
    )
    # One that was refused by itself never hides an older one that was accepted.
    .where(
        requests.c.writer_id.in_(IDS),
        requests.c.state != RequestState.REFUSED,
        requests.c.duplicate_of.is_(None),
    )
    .order_by(requests.c.id)
)


def earlier(conn: Connection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the newest request that each (writer, writer's id) names, and no repetition of it."""
    wanted = set(names)
    found: dict[tuple[str, str], Known] = {}
    for part in chunks({writer_id for _, writer_id in wanted}):
        for row in conn.execute(_EARLIER, {"b_ids": part}):
            found[row.writer, row.writer_id] = Known(row.id, row.state, row.digest)
    return {name: one for name, one in found.items() if name in wanted}


def taken(conn: Connection, bodies: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the first request of each (writer, digest) that was not refused."""
    wanted = set(bodies)
    found: dict[tuple[str, str], Known] = {}
    for part in chunks({digest for _, digest in wanted}):
        rows = conn.execute(
            select(requests.c.id, requests.c.state, requests.c.digest, requests.c.writer)
            .where(requests.c.digest.in_(part), requests.c.state != RequestState.REFUSED)
            .order_by(requests.c.id)
        )
        for who, state, digest, writer in rows:
            found.setdefault((writer, digest), Known(who, state, digest))
    return {body: one for body, one in found.items() if body in wanted}


def undone(conn: Connection, record: Record) -> list[str]:
    """List what a request's writer asked for its subject before, since such a one was done."""
    own = (
        requests.c.writer == record.writer,
        requests.c.subject == record.subject,
        requests.c.id < record.id,
    )
    done = (
        requests.c.action == record.action,
        requests.c.state == RequestState.DONE,
        requests.c.duplicate_of.is_(None),
    )
    last = conn.scalar(select(func.max(requests.c.id)).where(*own, *done))
    statement = select(requests.c.id).where(*own, requests.c.state != RequestState.DONE)
    if last is not None:
        statement = statement.where(requests.c.id > last)
    return list(conn.scalars(statement.order_by(requests.c.id)))


def highest_orders(
    conn: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the highest order number accepted under each (writer, key)."""
    wanted = set(names)
    found: dict[tuple[str, str], int] = {}
    for part in chunks({key for _, key in wanted}):
        rows = conn.execute(
            select(requests.c.writer, requests.c.order_key, func.max(requests.c.order_number))
            .where(requests.c.order_key.in_(part), requests.c.state != RequestState.REFUSED)
            .group_by(requests.c.writer, requests.c.order_key)
        )
        found.update({(writer, key): number for writer, key, number in rows})
    return {name: number for name, number in found.items() if name in wanted}
