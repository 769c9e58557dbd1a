"""Spoken: which requests of a writer closed or opened subjects, however these stand now.

Promises: reads only, inside the caller's transaction, and only what is asked for. Leaves out: the
suspensions that are in force (`subjects`), and requests that the service makes because a date has
come.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, unindexed
from provisioner.journal.queries import subjects
from provisioner.journal.schema import requests
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId

_SPOKEN = select(requests.c.subject, requests.c.id).where(
    requests.c.subject.in_(IDS),
    unindexed(requests.c.writer) == bindparam("b_writer"),
    requests.c.action.in_(subjects.CLOSING),
    requests.c.state.not_in([RequestState.REFUSED, RequestState.CANCELLED]),
    ~requests.c.name.startswith(subjects.ENDED, autoescape=True),
)


def of(conn: Connection, some: Collection[str], writer: str) -> dict[str, tuple[RequestId, ...]]:
    """Return the suspensions and resumes that a writer asked for, by subject."""
    found: dict[str, tuple[RequestId, ...]] = {}
    for part in chunks(some):
        for subject, request in bulk.rows(conn, _SPOKEN, {IDS.key: part, "b_writer": writer}):
            found[subject] = (*found.get(subject, ()), request)
    return found
