"""Rights: who may use what, and since when, as far as telling people needs to know.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. Leaves out: claims themselves (`ledger`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, or_, select, true

from provisioner.journal.dialect import chunks, lies_in
from provisioner.journal.schema import claims, objects, requests, suspensions
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId

_USER = "user:"


def users_of(conn: Connection, subject: str) -> set[str]:
    """Return the names of the users who have a claim in an allocation or a project."""
    leaves = conn.scalars(select(claims.c.leaf).where(claims.c.root == subject).distinct())
    return {leaf.removeprefix(_USER) for leaf in leaves if leaf.startswith(_USER)}


def had_before(conn: Connection, subject: str, request: RequestId) -> set[str]:
    """Return the claimants of a subject whose claim an earlier request got done."""
    rows = conn.execute(
        select(claims.c.claimant, claims.c.former, requests.c.state, requests.c.action)
        .join(requests, requests.c.id == claims.c.former, isouter=True)
        .where(claims.c.root == subject, claims.c.former.is_not(None))
        .where(claims.c.former != request)
    )
    # A former request of which the journal knows nothing any more was done long ago.
    over = (None, RequestState.DONE)
    return {row.claimant for row in rows if row.state in over or row.action == "adopt"}


def provided(
    conn: Connection, subject: str, action: str, before: RequestId | None = None
) -> list[RequestId]:
    """Return the newest request that was done for a subject, in a list; empty: there is none.

    before: only requests that came before this one.
    """
    older = true() if before is None else requests.c.id < before
    return list(
        conn.scalars(
            select(requests.c.id)
            .where(
                requests.c.subject == subject,
                requests.c.action == action,
                requests.c.state == RequestState.DONE,
                older,
            )
            .order_by(requests.c.id.desc())
            .limit(1)
        )
    )


def projects_of(conn: Connection, user: str, limit: int) -> list[RequestId]:
    """Return the newest requests that claim something for a user in a project or allocation."""
    leaf = f"{_USER}{user}"
    return list(
        conn.scalars(
            select(claims.c.request)
            .where(claims.c.leaf == leaf, claims.c.root != leaf)
            .distinct()
            .order_by(claims.c.request.desc())
            .limit(limit)
        )
    )


def suspended(conn: Connection, subjects: Collection[str]) -> set[str]:
    """Return those of some subjects that are suspended."""
    found: set[str] = set()
    for part in chunks(subjects):
        found.update(
            conn.scalars(select(suspensions.c.subject).where(suspensions.c.subject.in_(part)))
        )
    return found


def states_of(conn: Connection, subject: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what was last read of a subject's objects: (instance, state)."""
    rows = conn.execute(
        select(objects.c.instance, objects.c.state)
        .join(claims, claims.c.key == objects.c.key)
        .where(or_(claims.c.claimant == subject, lies_in(claims.c.claimant, subject)))
        .where(objects.c.state.is_not(None))
        .distinct()
    )
    return [(row.instance, row.state) for row in rows]
