"""Replaced: who now claims what an earlier request had asked for, and what put a failure right.

Promises: reads only, inside the caller's transaction. Leaves out: the remarks about it (`remarks`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from sqlalchemy import Connection, bindparam, select

from provisioner.contract import Key, Want
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import claims, objects, requests
from provisioner.objects.states import RUNNING, RequestState
from provisioner.system.ulid import RequestId

_CLAIMS = select(claims.c.key, claims.c.claimant, claims.c.want, claims.c.request).where(
    claims.c.key.in_(IDS)
)

_WRITER = select(requests.c.writer).where(requests.c.id == bindparam("b_id"))


def withdrawn_by(conn: Connection, request: RequestId, claimant: str) -> RequestId | Literal[""]:
    """Return the newest later request about a claimant or its root; '' if there is none."""
    statement = (
        select(requests.c.id)
        .where(
            requests.c.subject.in_({claimant, claimant.partition("/")[0]}),
            requests.c.id > request,
            requests.c.state.in_([*RUNNING, RequestState.DONE, RequestState.FAILED]),
        )
        .order_by(requests.c.id.desc())
        .limit(1)
    )
    return conn.scalar(statement) or ""


def put_right(conn: Connection, failed: Collection[Record]) -> dict[RequestId, RequestId]:
    """Return those of some failed requests that a later one put right, each with that one's id.

    A later request did so if it is done, and asked the same for the same subject, or came from the
    same writer under the same file name.
    """
    later: dict[tuple[str, ...], list[RequestId]] = {}
    for column in (requests.c.subject, requests.c.name):
        for part in chunks({getattr(record, column.name) for record in failed}):
            for row in conn.execute(_DONE.where(column.in_(part))):
                for key in (("of", row.action, row.subject), ("file", str(row.uid), row.name)):
                    later.setdefault(key, []).append(row.id)
    first: dict[RequestId, RequestId] = {}
    for record in failed:
        same = later.get(("of", record.action, record.subject), []) if record.subject else []
        ids = [*same, *later.get(("file", str(record.uid), record.name), [])]
        after = min((request for request in ids if request > record.id), default=None)
        if after is not None:
            first[record.id] = after
    return first


_DONE = select(
    requests.c.id, requests.c.action, requests.c.subject, requests.c.uid, requests.c.name
).where(requests.c.state == RequestState.DONE, requests.c.duplicate_of.is_(None))


def writer_of(conn: Connection, request: RequestId) -> str:
    """Return a request's writer; '' if it is unknown."""
    return conn.scalar(_WRITER, {"b_id": request}) or ""


OTHERS = "another writer's request"
"""What a writer reads instead of a claimant of another writer."""


def names_for(conn: Connection, claimants: Mapping[str, RequestId], writer: str) -> dict[str, str]:
    """Return the names of claimants that a writer may read; others' are `OTHERS`.

    claimants: claimant -> the request of its claim.
    """
    writers = {request: writer_of(conn, request) for request in set(claimants.values())}
    return {
        claimant: claimant if writers[request] == writer else OTHERS
        for claimant, request in claimants.items()
    }


def claims_now(
    conn: Connection, keys: Collection[Key]
) -> dict[Key, dict[str, tuple[Want | None, RequestId]]]:
    """Return the want and request of each claim on some objects, by claimant."""
    held: dict[Key, dict[str, tuple[Want | None, RequestId]]] = {}
    for part in chunks(keys):
        for row in conn.execute(_CLAIMS, {"b_ids": part}).all():
            held.setdefault(row.key, {})[row.claimant] = (row.want, row.request)
    return held


def left_behind(conn: Connection, keys: Collection[Key]) -> list[Key]:
    """Return those objects that nobody claims, and that stay in the backend as intended."""
    kept: list[Key] = []
    for part in chunks(keys):
        unclaimed = ~select(claims.c.key).where(claims.c.key == objects.c.key).exists()
        settled = objects.c.converged == objects.c.generation
        there = select(objects.c.key, objects.c.state).where(
            objects.c.key.in_(part), unclaimed, settled
        )
        kept += [key for key, state in conn.execute(there) if (state or {}).get("present")]
    return kept
