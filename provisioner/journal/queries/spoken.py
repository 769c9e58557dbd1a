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
from provisioner.system.ulid import RequestId

_SPOKEN = select(requests.c.id, requests.c.subject).where(
    requests.c.id >= bindparam("b_since"),
    unindexed(requests.c.writer) == bindparam("b_writer"),
    requests.c.action.in_(sorted({*history.CLAIMING, *subjects.CLOSING})),
    unindexed(requests.c.state).not_in([RequestState.REFUSED, RequestState.CANCELLED]),
    requests.c.duplicate_of.is_(None),
    ~requests.c.name.startswith(subjects.ENDED, autoescape=True),
)


def since(conn: Connection, writer: str, least: RequestId) -> list[tuple[RequestId, str]]:
    """List a writer's requests for something, each with the subject that is or has it, `folded`.

    least: the id of the first one that counts.
    """
    rows = bulk.rows(conn, _SPOKEN, {"b_since": least, "b_writer": writer})
    return [(request, folded(subject.partition("/")[0])) for request, subject in rows]
