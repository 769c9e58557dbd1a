"""Closed: who has no access to what a request gives, and which requests that concerns.

Promises: reads only, inside the caller's transaction. A writer learns whether others have closed
somebody, not who and why. Leaves out: what a writer closed of an allocation itself, which it knows.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, or_, select

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.persons.askers import PROVISION
from provisioner.journal.schema import claims, requests, suspensions
from provisioner.objects.states import ENDED
from provisioner.system.ulid import RequestId

_MOVING = ("user.suspend", "user.resume", "allocation.suspend", "allocation.resume")
"""Actions that close or open somebody."""

_USER = "user:"
_SUSPENDED = select(suspensions.c.subject, suspensions.c.source, suspensions.c.cause).where(
    suspensions.c.subject.in_(IDS)
)
_MOVED = select(requests.c.subject).where(
    requests.c.id.in_(IDS),
    requests.c.state.in_(ENDED),
    # A provision that opened somebody has a note of it.
    requests.c.action.in_(_MOVING)
    | ((requests.c.action == PROVISION) & requests.c.problems.is_not(None)),
)
_ANY = select(suspensions.c.subject).limit(1)
_GIVING = (
    select(claims.c.request)
    .where(or_(claims.c.root.in_(IDS), claims.c.leaf.in_(IDS)), claims.c.root != claims.c.leaf)
    .distinct()
)


def of(conn: Connection, claimants: Collection[str], writer: str) -> dict[str, str]:
    """Return the users among claimants who are suspended, each with the causes.

    claimants: such as `allocation:42/user:jdoe`; writer: whose own causes are named. Those of
    others are `others`.
    """
    users = {name: name.rpartition("/")[2] for name in claimants if f"/{_USER}" in name}
    if not users or conn.scalar(_ANY) is None:
        return {}
    parts = {part for name, user in users.items() for part in (name, user, name.partition("/")[0])}
    causes: dict[str, set[str]] = {}
    for some in chunks(parts):
        for subject, source, cause in conn.execute(_SUSPENDED, {"b_ids": some}):
            if source != writer:
                causes.setdefault(subject, set()).add("others")
            elif not subject.startswith("allocation:") or "/" in subject:
                causes.setdefault(subject, set()).add(cause)
    found = {
        user.removeprefix(_USER): {
            cause for part in (name, user, name.partition("/")[0]) for cause in causes.get(part, ())
        }
        for name, user in users.items()
    }
    return {user: ", ".join(sorted(why)) for user, why in sorted(found.items()) if why}


def told_by(conn: Connection, over: Collection[RequestId]) -> set[RequestId]:
    """Return the requests whose receipts tell of whom some requests that are over closed or opened.

    Those give something to these persons, in allocations and projects, or to whole allocations.
    """
    subjects: set[str] = set()
    for some in chunks(over):
        subjects.update(conn.scalars(_MOVED, {"b_ids": some}))
    found: set[RequestId] = set()
    for some in chunks(subjects):
        found.update(conn.scalars(_GIVING, {"b_ids": some}))
    return found


def told_in(
    conn: Connection, over: Collection[RequestId], receipts: Collection[RequestId]
) -> list[RequestId]:
    """List those of some requests that are over of whose closing or opening some receipts tell."""
    return [request for request in over if not told_by(conn, [request]).isdisjoint(receipts)]
