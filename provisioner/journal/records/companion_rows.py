"""Companions: the manifests of requests that are not over.

Promises: everything is read and written inside the caller's transaction. Leaves out: reading what
a manifest says (`manifests`).
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from provisioner.journal.schema import companions, requests
from provisioner.objects.states import RequestState


def keep_companion(conn: Connection, request: str, body: bytes) -> None:
    """Keep the manifest of a request that waits."""
    drop_companion(conn, request)
    conn.execute(insert(companions), {"request": request, "body": body})


def has_companion(conn: Connection, request: str) -> bool:
    """Return True if the manifest of a request is kept: it is not over."""
    statement = select(companions.c.request).where(companions.c.request == request)
    return conn.scalar(statement) is not None


def kept_by(conn: Connection, uid: int) -> int:
    """Say how many bytes a submitter's manifests have that are kept."""
    size = func.coalesce(func.sum(func.length(companions.c.body)), 0)
    mine = select(requests.c.id).where(requests.c.uid == uid)
    return int(conn.scalar(select(size).where(companions.c.request.in_(mine))) or 0)


def with_companion(conn: Connection) -> dict[str, int]:
    """Return accepted requests whose manifest is kept, oldest first, with their writers' uids."""
    kept = select(companions.c.request)
    statement = select(requests.c.id, requests.c.uid).where(
        requests.c.id.in_(kept), requests.c.state == RequestState.ACCEPTED
    )
    return {row.id: row.uid for row in conn.execute(statement.order_by(requests.c.id))}


def companion_size(conn: Connection, request: str) -> int:
    """Say how many bytes the manifest has that was kept of a request; 0 where there is none."""
    size = func.length(companions.c.body)
    return conn.scalar(select(size).where(companions.c.request == request)) or 0


def companion(conn: Connection, request: str) -> bytes | None:
    """Return the manifest that was kept of a request."""
    return conn.scalar(select(companions.c.body).where(companions.c.request == request))


def drop_companion(conn: Connection, request: str) -> None:
    """Forget a manifest."""
    conn.execute(delete(companions).where(companions.c.request == request))
