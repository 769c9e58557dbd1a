"""Companions: the manifests of requests that are not over.

Promises: everything is read and written inside the caller's transaction. Leaves out: reading what
a manifest says (`manifests`).
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from provisioner.journal.schema import companions, requests
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId


def keep_companion(conn: Connection, request: RequestId, body: bytes) -> None:
    """Store the manifest of a request that waits."""
    drop_companion(conn, request)
    conn.execute(insert(companions), {"request": request, "body": body})


def has_companion(conn: Connection, request: RequestId) -> bool:
    """Return True if the journal has the manifest of a request, because it is not over."""
    statement = select(companions.c.request).where(companions.c.request == request)
    return conn.scalar(statement) is not None


def kept_by(conn: Connection, uid: int) -> int:
    """Return the total bytes of a submitter's stored manifests."""
    size = func.coalesce(func.sum(func.length(companions.c.body)), 0)
    # Found by the few companions, not by all requests of a uid.
    of_request = requests.c.id == companions.c.request
    mine = select(requests.c.uid).where(of_request).scalar_subquery() == uid
    return int(conn.scalar(select(size).where(mine)) or 0)


def with_companion(conn: Connection) -> dict[RequestId, int]:
    """Return accepted requests with a stored manifest and their writers' uids, oldest first."""
    kept = select(companions.c.request)
    statement = select(requests.c.id, requests.c.uid).where(
        requests.c.id.in_(kept), requests.c.state == RequestState.ACCEPTED
    )
    return {row.id: row.uid for row in conn.execute(statement.order_by(requests.c.id))}


def companion_size(conn: Connection, request: RequestId) -> int:
    """Return the bytes of a request's stored manifest; 0 if there is none."""
    size = func.length(companions.c.body)
    return conn.scalar(select(size).where(companions.c.request == request)) or 0


def companion(conn: Connection, request: RequestId) -> bytes | None:
    """Return a request's stored manifest."""
    return conn.scalar(select(companions.c.body).where(companions.c.request == request))


def drop_companion(conn: Connection, request: RequestId) -> None:
    """Delete a request's manifest."""
    conn.execute(delete(companions).where(companions.c.request == request))
