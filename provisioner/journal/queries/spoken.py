"""Spoken: what a writer asked for since some moment, also where no claim or suspension shows it.

Promises: reads only, inside the caller's transaction, and only requests since that moment. Leaves
out: requests that the service makes because a date has come.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from provisioner.journal import bulk
from provisioner.journal.dialect import folded, unindexed
from provisioner.journal.queries import history, subjects
from provisioner.journal.schema import requests
from provisioner.objects.states import RequestState
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

_SPOKEN = select(requests.c.id, requests.c.subject).where(
    requests.c.id >= bindparam("b_since"),
    unindexed(requests.c.writer) == bindparam("b_writer"),
    requests.c.action.in_(sorted({*history.CLAIMING, *subjects.CLOSING})),
    unindexed(requests.c.state).not_in([RequestState.REFUSED, RequestState.CANCELLED]),
    requests.c.duplicate_of.is_(None),
    ~requests.c.name.startswith(subjects.ENDED, autoescape=True),
)

_BEFORE = (
    select(requests.c.id)
    .where(requests.c.id >= bindparam("b_least"), requests.c.accepted < bindparam("b_at"))
    .order_by(requests.c.id.desc())
    .limit(1)
)


def first_at(conn: Connection, at: float) -> RequestId:
    """Return the least id that counts as accepted at a time or later, in seconds since the epoch.

    Ids run ahead of the time after the clock did: what was accepted earlier has one all the same.
    """
    least = ulid.first(at)
    last = conn.scalar(_BEFORE, {"b_least": least, "b_at": at})
    return least if last is None else ulid.after(last)


def since(conn: Connection, writer: str, least: RequestId) -> list[tuple[RequestId, str]]:
    """List a writer's requests for something, each with the subject that is or has it, `folded`.

    least: the id of the first one that counts.
    """
    rows = bulk.rows(conn, _SPOKEN, {"b_since": least, "b_writer": writer})
    return [(request, folded(subject.partition("/")[0])) for request, subject in rows]
