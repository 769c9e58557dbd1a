"""Expiry: deleting the rows of old requests.

Promises: everything is read and written inside the caller's transaction. Leaves out: how long each
is kept (`retention`, `outsiders`), and events (`audit`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from sqlalchemy import Connection, and_, bindparam, delete, func, select

from provisioner.journal.dialect import chunks
from provisioner.journal.queries import anchors
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import LEFT, requests, step_objects, steps
from provisioner.objects.states import ENDED, RequestState
from provisioner.system.ulid import RequestId

_newer = requests.alias()

_IS_HIGHEST = and_(
    requests.c.order_key.is_not(None),
    requests.c.state != RequestState.REFUSED,
    ~select(_newer.c.id)
    .where(
        _newer.c.writer == requests.c.writer,
        _newer.c.order_key == requests.c.order_key,
        _newer.c.order_number > requests.c.order_number,
        _newer.c.state != RequestState.REFUSED,
    )
    .exists(),
)
"""This row has the highest number of its order: a later request with a lower one is superseded."""

# An expression: else SQLite would use the index of states, and sort half the journal each time.
_OVER = (requests.c.state + "").in_(ENDED)

_OLD = (
    select(requests.c.id)
    .where(
        _OVER,
        requests.c.ended < bindparam("b_before"),
        requests.c.id > bindparam("b_after"),
        requests.c.id < bindparam("b_end"),
        ~_IS_HIGHEST,
    )
    .order_by(requests.c.id)
    .limit(bindparam("b_limit"))
)

_NEWEST = (
    select(requests.c.id)
    .where(_OVER)
    .order_by(requests.c.id.desc())
    .limit(1)
    .offset(bindparam("b_floor"))
)


def with_receipts_of(conn: Connection, gone: Sequence[Record]) -> set[tuple[str, str]]:
    """Return the receipts, as (writer, own id), that other requests share."""
    own = {record.writer_id for record in gone if record.writer_id is not None}
    ids = {record.id for record in gone}
    shared: set[tuple[str, str]] = set()
    for part in chunks(own):
        rows = conn.execute(
            select(requests.c.id, requests.c.writer, requests.c.writer_id).where(
                requests.c.writer_id.in_(part)
            )
        )
        shared.update((row.writer, row.writer_id) for row in rows if row.id not in ids)
    return shared


def refused_counts(conn: Connection) -> dict[int, int]:
    """Count the refused requests without a body of each submitter, by uid."""
    counted = (
        select(requests.c.uid, func.count().label("files")).where(LEFT).group_by(requests.c.uid)
    )
    return {row.uid: row.files for row in conn.execute(counted)}


def refused_beyond(conn: Connection, uid: int, keep: int) -> list[RequestId]:
    """List a submitter's refused requests without a body, except the newest; oldest first."""
    older = (
        select(requests.c.id)
        .where(LEFT, requests.c.uid == uid)
        .order_by(requests.c.id.desc())
        .offset(keep)
    )
    return sorted(conn.scalars(older))


def forget_refused(conn: Connection, ids: Collection[RequestId]) -> None:
    """Delete the rows of refused requests without a body."""
    for part in chunks(ids):
        conn.execute(delete(requests).where(requests.c.id.in_(part), LEFT))


def forget(conn: Connection, ids: list[RequestId]) -> int:
    """Delete the rows of requests, and return how many.

    Those that somebody has retried since, or that have a claim again, stay.
    """
    over = select(requests.c.id).where(requests.c.id.in_(ids), requests.c.state.in_(ENDED))
    gone = sorted(set(conn.scalars(over)) - anchors.claiming(conn, ids))
    if gone:
        conn.execute(delete(step_objects).where(step_objects.c.request.in_(gone)))
        conn.execute(delete(steps).where(steps.c.request.in_(gone)))
        conn.execute(delete(requests).where(requests.c.id.in_(gone)))
    return len(gone)


def of_spools(
    conn: Connection, ids: Collection[RequestId], spools: Collection[str]
) -> list[RequestId]:
    """Return those of some requests whose file was taken in some spools, in order."""
    found: list[RequestId] = []
    for part in chunks(ids):
        there = requests.c.id.in_(part), requests.c.spool.in_(list(spools))
        found += conn.scalars(select(requests.c.id).where(*there))
    return sorted(found)


def newest_beyond(conn: Connection, keep: int) -> RequestId | Literal[""]:
    """Return the oldest of the `keep` newest finished requests; '' if there are fewer."""
    return conn.scalar(_NEWEST, {"b_floor": keep - 1}) or ""


def old(conn: Connection, before: float, after: str, end: str, limit: int) -> list[RequestId]:
    """List requests between two ids that were over before a time, in order."""
    bounds = {"b_before": before, "b_after": after, "b_end": end, "b_limit": limit}
    return list(conn.scalars(_OLD, bounds))
