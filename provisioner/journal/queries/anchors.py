"""Anchors: which finished requests the journal still needs, however old they are.

Promises: everything is read inside the caller's transaction. A request is needed if a claim or a
suspension names it, as policy and `undo` read what it asked for. The newest begun provision of each
writer who ever had a claimed allocation or project is needed, as policy asks who had it, and that
of each writer for a person with claims, as who asks for them decides whether they are closed. A
request is also needed if another request for the same subject may still count again (it is open, or
it failed or was cancelled and can be retried), unless a whole statement that was done lies between
the two: what a cancellation gives back, and what a release or a retry must not undo, is read from
these rows. Leaves out: how long the other requests are kept (`retention`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, func, select, union

from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.persons import askers
from provisioner.journal.queries import precedents
from provisioner.journal.queries.history import CLAIMING
from provisioner.journal.schema import claims, requests, step_objects, suspensions, words
from provisioner.objects.states import OPEN, RequestState
from provisioner.system.ulid import RequestId

_RETRIABLE = (RequestState.FAILED, RequestState.CANCELLED)

_KINDS = ("allocation:", "project:", "user:")

_NAMED = union(
    select(claims.c.request),
    select(suspensions.c.request),
    precedents.newest_having(),
    askers.newest(),
    *askers.put_right(),
    select(words.c.request).where(words.c.listed.is_(False) | words.c.ends.is_not(None)),
)


class Anchors:
    """The needed requests of one journal, as it is when this is made."""

    def __init__(self, conn: Connection, stays: Callable[[RequestId, float], bool]) -> None:
        """stays: returns True if the row of a failed or cancelled request is kept for another
        reason, by its id and by when it ended, in seconds since the epoch.
        """
        self._named: set[RequestId] = set(conn.scalars(_NAMED))
        self._oldest: dict[str, float] = {}
        self._since: dict[str, float] = {}
        for row in conn.execute(_UNSETTLED):
            kept = row.state in OPEN or row.id in self._named or stays(row.id, row.ended)
            root = _root(row.subject)
            if kept and root.startswith(_KINDS):
                self._oldest[root] = min(row.accepted, self._oldest.get(root, row.accepted))

    def among(self, conn: Connection, ids: Collection[RequestId]) -> set[RequestId]:
        """Return those of some finished requests that are needed."""
        needed = self._named & set(ids)
        for part in chunks(set(ids) - needed):
            rows = select(requests.c.id, requests.c.subject, requests.c.accepted)
            for row in conn.execute(rows.where(requests.c.id.in_(part))).all():
                root = _root(row.subject)
                if root in self._oldest and row.accepted >= self._statement_before(conn, root):
                    needed.add(row.id)
        return needed

    def _statement_before(self, conn: Connection, root: str) -> float:
        """Return when the last whole statement before all unsettled requests was accepted."""
        if root not in self._since:
            statement = select(func.max(requests.c.accepted)).where(
                requests.c.subject == root,
                requests.c.action.in_(CLAIMING),
                requests.c.state == RequestState.DONE,
                requests.c.duplicate_of.is_(None),
                requests.c.accepted < self._oldest[root],
            )
            self._since[root] = conn.scalar(statement) or 0.0
        return self._since[root]


def claiming(conn: Connection, ids: Collection[RequestId]) -> set[RequestId]:
    """Return those of some requests that have a claim of theirs, by the objects of their steps."""
    named: set[RequestId] = set()
    for part in chunks(ids):
        named.update(conn.scalars(_CLAIMING, {"b_ids": part}))
    return named


def _root(subject: str) -> str:
    return subject.partition("/")[0]


_UNSETTLED: Any = select(
    requests.c.id, requests.c.subject, requests.c.state, requests.c.accepted, requests.c.ended
).where(requests.c.state.in_([*OPEN, *_RETRIABLE]))

_CLAIMING: Any = (
    select(step_objects.c.request)
    .join(claims, claims.c.key == step_objects.c.key)
    .where(step_objects.c.request.in_(IDS), claims.c.request == step_objects.c.request)
    .distinct()
)
