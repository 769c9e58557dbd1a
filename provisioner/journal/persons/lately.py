"""What a submitter brought lately: events about its requests, and how many requests.

Promises: reads only, inside the caller's transaction. Leaves out: how much may be brought
(`policy.rules`).
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from provisioner.journal.schema import events, requests
from provisioner.objects.states import RequestState
from provisioner.system import ulid
from provisioner.system.ulid import RequestId


def noted_since(conn: Connection, uid: int, kind: str, since: float, begins: str) -> list[str]:
    """List the texts of events of a kind about a submitter's requests since a time.

    begins: the beginning of the requests' actions.
    """
    statement = (
        select(events.c.text)
        .join(requests, requests.c.id == events.c.request)
        .where(
            events.c.request >= ulid.first(since),
            events.c.at >= since,  # ids run ahead of the time after the clock did
            events.c.kind == kind,
            requests.c.uid == uid,
            func.substr(requests.c.action, 1, len(begins)) == begins,
        )
    )
    return list(conn.scalars(statement))


def asked_since(conn: Connection, uid: int, since: float, besides: RequestId) -> int:
    """Count a submitter's requests since a time that were not refused, without one of them."""
    statement = select(func.count()).where(
        requests.c.id >= ulid.first(since),
        requests.c.accepted >= since,  # ids run ahead of the time after the clock did
        requests.c.uid == uid,
        requests.c.state != RequestState.REFUSED,
        requests.c.id != besides,
    )
    return int(conn.scalar(statement) or 0)
