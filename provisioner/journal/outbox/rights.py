"""Rights: who may use what, and since when, as far as telling people needs to know.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. Leaves out: claims themselves (`ledger`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.records import ledger
from provisioner.journal.schema import claims, objects, requests, suspensions
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId

_USER = "user:"

# Statements that each outcome needs are built once: building one takes longer than running it.

_LEAVES = select(claims.c.leaf).where(claims.c.root == bindparam("b_subject")).distinct()

_WAITING = (
    select(claims.c.leaf)
    .join(objects, objects.c.key == claims.c.key, isouter=True)
    .where(claims.c.root == bindparam("b_subject"))
    .where(
        or_(
            claims.c.want.is_(None),  # the step that claims it has not begun
            objects.c.converged.is_(None),
            objects.c.converged == 0,
            # What is there and only gets another value has been theirs before.
            (objects.c.converged != objects.c.generation)
            & ~func.coalesce(objects.c.state["present"].as_boolean(), False),
        )
    )
    .distinct()
)

_SEEN = (
    select(claims.c.leaf)
    .join(objects, objects.c.key == claims.c.key)
    .where(claims.c.root == bindparam("b_subject"), objects.c.state["present"].as_boolean())
    .distinct()
)

_FORMER = (
    select(claims.c.claimant, claims.c.former, requests.c.state, requests.c.action)
    .join(requests, requests.c.id == claims.c.former, isouter=True)
    .where(claims.c.root == bindparam("b_subject"), claims.c.former.is_not(None))
    .where(claims.c.former != bindparam("b_request"))
)

_PROVIDED = (
    select(requests.c.id)
    .where(
        requests.c.subject == bindparam("b_subject"),
        requests.c.action == bindparam("b_action"),
        requests.c.state == RequestState.DONE,
        requests.c.duplicate_of.is_(None),
    )
    .order_by(requests.c.id.desc())
    .limit(1)
)

_PROVIDED_BEFORE = _PROVIDED.where(requests.c.id < bindparam("b_before"))

_PROJECTS = (
    select(claims.c.request)
    .where(claims.c.leaf == bindparam("b_leaf"), claims.c.root != bindparam("b_leaf"))
    .distinct()
    .order_by(claims.c.request.desc())
    .limit(bindparam("b_limit"))
)

_SUSPENDED = select(suspensions.c.subject).where(suspensions.c.subject.in_(IDS))


def users_of(conn: Connection, subject: str) -> set[str]:
    """Return the names of the users who have a claim in an allocation or a project."""
    return _names(conn.scalars(_LEAVES, {"b_subject": subject}))


def waiting_in(conn: Connection, subject: str) -> set[str]:
    """Return the names of the users of whose claims in a subject one is on nothing yet."""
    return _names(conn.scalars(_WAITING, {"b_subject": subject}))


def seen_in(conn: Connection, subject: str) -> set[str]:
    """Return the names of the users of a subject of whose objects one is there, open or closed."""
    return _names(conn.scalars(_SEEN, {"b_subject": subject}))


def _names(leaves: Iterable[str]) -> set[str]:
    return {leaf.removeprefix(_USER) for leaf in leaves if leaf.startswith(_USER)}


def had_before(conn: Connection, subject: str, request: RequestId) -> set[str]:
    """Return the claimants of a subject whose claim an earlier request got done."""
    rows = conn.execute(_FORMER, {"b_subject": subject, "b_request": request})
    # A former request of which the journal knows nothing any more was done long ago.
    over = (None, RequestState.DONE)
    return {row.claimant for row in rows if row.state in over or row.action == "adopt"}


def provided(
    conn: Connection, subject: str, action: str, before: RequestId | None = None
) -> list[RequestId]:
    """Return the newest request that was done for a subject, in a list; empty: there is none.

    before: only requests that came before this one.
    """
    which = {"b_subject": subject, "b_action": action}
    if before is None:
        return list(conn.scalars(_PROVIDED, which))
    return list(conn.scalars(_PROVIDED_BEFORE, {**which, "b_before": before}))


def projects_of(conn: Connection, user: str, limit: int) -> list[RequestId]:
    """Return the newest requests that claim something for a user in a project or allocation."""
    return list(conn.scalars(_PROJECTS, {"b_leaf": f"{_USER}{user}", "b_limit": limit}))


def suspended(conn: Connection, subjects: Collection[str]) -> set[str]:
    """Return those of some subjects that are suspended."""
    found: set[str] = set()
    for part in chunks(subjects):
        found.update(conn.scalars(_SUSPENDED, {"b_ids": part}))
    return found


def shut_out(conn: Connection, subject: str, users: Collection[str]) -> set[str]:
    """Return those users of an allocation, by name, who are suspended themselves."""
    shut = suspended(
        conn, [f"{within}{_USER}{user}" for user in users for within in ("", f"{subject}/")]
    )
    return {
        user
        for user in users
        if not shut.isdisjoint((f"{_USER}{user}", f"{subject}/{_USER}{user}"))
    }


def states_of(conn: Connection, subject: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what was last read of a subject's objects: (instance, state)."""
    rows = conn.execute(
        select(objects.c.instance, objects.c.state)
        .join(claims, claims.c.key == objects.c.key)
        .where(ledger.nest(subject))
        .where(objects.c.state.is_not(None))
        .distinct()
    )
    return [(row.instance, row.state) for row in rows]
