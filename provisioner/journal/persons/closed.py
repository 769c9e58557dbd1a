"""Closed: who has no access to what a request gives, and which requests that concerns.

Promises: reads only, inside the caller's transaction. Nobody counts as closed before a request that
closes them is done: one that waits, or failed, has left them open somewhere. A writer learns
whether others have closed somebody, not who and why. Leaves out: what a writer closed of an
allocation itself, which it knows; who is resumed counts as open from the acceptance of that on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, exists, func, or_, select

from provisioner.journal.dialect import IDS, chunks, unindexed
from provisioner.journal.persons.askers import PROVISION
from provisioner.journal.schema import claims, events, requests, suspensions
from provisioner.objects.states import ENDED, RequestState
from provisioner.system.ulid import RequestId

_MOVING = ("user.suspend", "user.resume", "allocation.suspend", "allocation.resume")
"""Actions that close or open somebody."""

_USER = "user:"
_BY, _LATER = requests.alias(), requests.alias()
_DONE_LATER = exists().where(
    _LATER.c.subject == suspensions.c.subject,
    _LATER.c.action.in_(("user.suspend", "allocation.suspend")),
    unindexed(_LATER.c.state) == RequestState.DONE,
    _LATER.c.id > suspensions.c.request,
)
"""A reason is recorded once: the first request for it may have failed, and a later one not."""
_SUSPENDED = (
    select(suspensions.c.subject, suspensions.c.source, suspensions.c.cause)
    .outerjoin(_BY, _BY.c.id == suspensions.c.request)
    .where(suspensions.c.subject.in_(IDS))
    # What is older than the journal's requests was done long ago.
    .where(or_(_BY.c.id.is_(None), _BY.c.state == RequestState.DONE, _DONE_LATER))
)
_ANY = select(suspensions.c.subject).limit(1)
_GIVING = (
    select(claims.c.request)
    .where(or_(claims.c.root.in_(IDS), claims.c.leaf.in_(IDS)), claims.c.root != claims.c.leaf)
    .distinct()
)


def of(
    conn: Connection,
    claimants: Mapping[RequestId, Collection[str]],
    writers: Mapping[RequestId, str],
) -> dict[RequestId, dict[str, str]]:
    """Return the users among the claimants of requests who are closed, each with the causes.

    claimants: such as `allocation:42/user:jdoe`; writers: whose own causes are named. Those of
    others are `others`. Requests none of whose users is closed are left out.
    """
    listed = {
        request: users
        for request, names in claimants.items()
        if (users := {name: name.rpartition("/")[2] for name in names if f"/{_USER}" in name})
    }
    if not listed or conn.scalar(_ANY) is None:
        return {}
    subjects = {
        part for users in listed.values() for pair in users.items() for part in _about(pair)
    }
    standing: dict[str, list[tuple[str, str]]] = {}
    for some in chunks(subjects):
        for subject, source, cause in conn.execute(_SUSPENDED, {"b_ids": some}):
            standing.setdefault(subject, []).append((source, cause))
    shut = {
        request: _causes(users, standing, writers[request]) for request, users in listed.items()
    }
    return {request: causes for request, causes in shut.items() if causes}


def _about(pair: tuple[str, str]) -> tuple[str, str, str]:
    """Return the subjects whose suspension closes a claimant, given with its user."""
    name, user = pair
    return name, user, name.partition("/")[0]


def _causes(
    users: Mapping[str, str], standing: Mapping[str, Sequence[tuple[str, str]]], writer: str
) -> dict[str, str]:
    """Return the causes for which users are closed, as a writer may read them.

    users: by claimant; standing: the suspensions of each subject, as source and cause.
    """
    causes: dict[str, set[str]] = {}
    for pair in users.items():
        for subject in _about(pair):
            for source, cause in standing.get(subject, ()):
                if source != writer:
                    causes.setdefault(pair[1], set()).add("others")
                elif not subject.startswith("allocation:") or "/" in subject:
                    causes.setdefault(pair[1], set()).add(cause)
    return {
        user.removeprefix(_USER): ", ".join(sorted(why)) for user, why in sorted(causes.items())
    }


def moves(action: str, state: RequestState, problems: object) -> bool:
    """Return True if a request may have closed or opened somebody: it is over.

    problems: what is worth knowing of it. A provision that opened somebody has a note of it.
    """
    moving = action in _MOVING or (action == PROVISION and problems is not None)
    return moving and state in ENDED


def moved_since(conn: Connection, since: float) -> dict[RequestId, str]:
    """Return the requests that may have closed or opened somebody since a time, with their
    subjects. since: in seconds since the epoch."""
    before = select(func.max(events.c.seq)).where(events.c.at < since).scalar_subquery()
    over = select(events.c.request).where(
        events.c.seq > func.coalesce(before, 0), events.c.kind.in_(list(ENDED))
    )
    rows = select(
        *(requests.c.id, requests.c.subject, requests.c.action),
        *(requests.c.state, requests.c.problems),
    ).where(requests.c.id.in_(over), unindexed(requests.c.action).in_([*_MOVING, PROVISION]))
    return {
        row.id: row.subject
        for row in conn.execute(rows)
        if moves(row.action, row.state, row.problems)
    }


def told_by(conn: Connection, subjects: Collection[str]) -> set[RequestId]:
    """Return the requests whose receipts tell of some persons or allocations that a request closed
    or opened.

    Those give something to these persons, in allocations and projects, or to whole allocations.
    """
    found: set[RequestId] = set()
    for some in chunks(set(subjects)):
        found.update(conn.scalars(_GIVING, {"b_ids": some}))
    return found


def told_in(
    conn: Connection, moved: Mapping[RequestId, str], receipts: Collection[RequestId]
) -> list[RequestId]:
    """List the requests of whose closing or opening some receipts tell. moved: their subjects."""
    return [
        request
        for request, subject in moved.items()
        if not told_by(conn, [subject]).isdisjoint(receipts)
    ]
