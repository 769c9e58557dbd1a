"""What a submitter brought lately: events about its requests, and how many requests.

Promises: reads only, inside the caller's transaction. What came while the clock was ahead does not
count once it is right. Leaves out: how much may be brought (`policy.rules`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, union

from provisioner.journal.schema import NEW_USER, events, requests, words
from provisioner.objects.states import RequestState
from provisioner.system import ulid
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Span:
    """A time until now. since, now: seconds since the epoch."""

    since: float
    now: float


_dated = requests.alias()
BY_DATE = union(
    *(
        select(table.c.ended_by).where(
            table.c.ends.is_not(None), table.c.ended_by >= bindparam("b_since")
        )
        for table in (_dated, words)
    )
)
"""The requests that the service made because a date had come, from the id `b_since` on."""


def newcomers(conn: Connection, uid: int, span: Span, begins: str) -> list[str]:
    """List the users whom a submitter's requests brought within a time, whenever they were sent.

    begins: the beginning of the requests' actions.
    """
    statement = (
        select(events.c.text)
        .join(requests, requests.c.id == events.c.request)
        .where(
            NEW_USER,
            events.c.at.between(span.since, span.now),
            requests.c.uid == uid,
            func.substr(requests.c.action, 1, len(begins)) == begins,
        )
    )
    return list(conn.scalars(statement))


def asked(conn: Connection, uid: int, span: Span, besides: RequestId) -> int:
    """Count a submitter's requests within a time that were not refused, without one of them.

    Those that the service made of their dates are not theirs.
    """
    least = ulid.first(span.since)
    statement = select(func.count()).where(
        requests.c.id >= least,  # ids run ahead of the time after the clock did
        requests.c.id.not_in(BY_DATE),
        requests.c.accepted.between(span.since, span.now),
        requests.c.uid == uid,
        requests.c.state != RequestState.REFUSED,
        requests.c.id != besides,
    )
    return int(conn.scalar(statement, {"b_since": least}) or 0)
