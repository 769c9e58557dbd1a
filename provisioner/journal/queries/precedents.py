"""Precedents: what was accepted before under an id, an order, the same bytes, or for a subject.

Promises: reads only, inside the caller's transaction. Leaves out: what follows for a new request
(`duplicates`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, func, or_, select

from provisioner.journal import bulk
from provisioner.journal.dialect import (
    IDS,
    chunks,
    folded,
    is_project,
    is_subject,
    lies_in,
    unindexed,
)
from provisioner.journal.records import changes
from provisioner.journal.records.request_rows import Record, asker, order
from provisioner.journal.schema import claims, events, requests, steps
from provisioner.objects.states import RUNNING, RequestState
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Known:
    """The earlier request with which a repeated one is compared.

    held_by: the other person who held it, and did not release it.
    """

    id: RequestId
    state: RequestState
    digest: str
    held_by: str | None = None


_BEGUN = select(steps.c.name).where(steps.c.request == requests.c.id).exists()

_EARLIER = (
    select(
        requests.c.id,
        requests.c.state,
        requests.c.digest,
        requests.c.writer_id,
        requests.c.held_by,
        requests.c.on_behalf_of,
        requests.c.for_review,
    )
    # A refused repetition never hides the older request that was accepted. What was superseded
    # before it began changed nothing, so that it may be asked for again under its id.
    .where(
        requests.c.writer == bindparam("b_writer"),
        requests.c.writer_id.in_(IDS),
        requests.c.state != RequestState.REFUSED,
        (requests.c.state != RequestState.SUPERSEDED) | _BEGUN,
        requests.c.duplicate_of.is_(None),
    )
    .order_by(requests.c.id)
)


def earlier(conn: Connection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the newest request under each (writer, writer's id), without repetitions."""
    known: dict[tuple[str, str], Known] = {}
    for writer, ids in by_writer(names).items():
        for row in bulk.among(conn, _EARLIER, ids, b_writer=writer):
            own = asker(writer, row.on_behalf_of)
            by_another = not row.for_review and row.held_by != own
            holder = row.held_by if by_another else None
            known[writer, row.writer_id] = Known(row.id, row.state, row.digest, holder)
    return known


_REPEATED = select(requests.c.duplicate_of).where(
    requests.c.writer == bindparam("b_writer"),
    requests.c.writer_id.in_(IDS),
    requests.c.duplicate_of.is_not(None),
    requests.c.state != RequestState.REFUSED,
    requests.c.spool == bindparam("b_spool"),
)


def repeated(conn: Connection, names: Collection[tuple[str, str]], spool: str) -> set[RequestId]:
    """Return the requests under some (writer, writer's id) that were dropped again in a spool."""
    found: set[RequestId] = set()
    for writer, ids in by_writer(names).items():
        rows = bulk.among(conn, _REPEATED, ids, b_writer=writer, b_spool=spool)
        found.update(row.duplicate_of for row in rows)
    return found


def repeated_since(conn: Connection, spool: str, since: float) -> list[RequestId]:
    """Return the requests that were dropped again in another spool, and were not over at a time."""
    first = requests.alias()
    again = (
        requests.c.spool == spool,
        requests.c.duplicate_of == first.c.id,
        first.c.spool != spool,
        or_(first.c.ended.is_(None), first.c.ended >= since),
    )
    return sorted(set(conn.scalars(select(first.c.id).where(*again))))


EVERYTHING = "site:"
"""The subject of a manifest. Each request that follows from one is judged by its own."""

_newer, _release = requests.alias(), events.alias()
_HELD_AT = select(func.max(events.c.seq)).where(
    events.c.request == requests.c.id, events.c.kind == "held"
)
_LET_GO = exists().where(
    _release.c.request == _newer.c.id,
    _release.c.kind == "released",
    _release.c.seq > func.coalesce(_HELD_AT.scalar_subquery(), 0),
)
_TAKING = ("user.suspend", "allocation.suspend", "membership.remove", "project.archive")
"""Actions that take access away: nobody keeps it open by having held one of them once."""


def _kept(here: ColumnElement[bool], same: ColumnElement[bool]) -> Select[Any]:
    """Make the statement for what others hold, or held when it was cancelled.

    here: matches subjects; same: that the subject of `_newer` is the same.
    """
    columns = ("writer", "action", "subject", "id", "state", "digest", "held_by", "on_behalf_of")
    return (
        select(*(requests.c[name] for name in columns))
        .where(
            here,
            unindexed(requests.c.state).in_([RequestState.HELD, RequestState.CANCELLED]),
            requests.c.action.not_in(_TAKING),
            requests.c.held_by.is_not(None),
            requests.c.for_review.is_not(True),
            # Nobody holds what was let go since. What came before the hold tells nothing.
            ~select(_newer.c.id)
            .where(
                same,
                _newer.c.id > requests.c.id,
                unindexed(_newer.c.writer) == requests.c.writer,
                _newer.c.action == requests.c.action,
                _newer.c.held_by.is_(None),
                _LET_GO,
            )
            .exists(),
        )
        .order_by(requests.c.id)
    )


_KEPT = _kept(requests.c.subject.in_(IDS), _newer.c.subject == requests.c.subject)
_KEPT_PROJECTS = _kept(
    is_project(requests.c.subject) & func.lower(requests.c.subject).in_(IDS),
    is_project(_newer.c.subject) & (func.lower(_newer.c.subject) == func.lower(requests.c.subject)),
)


def kept(
    conn: Connection, about: Collection[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Known]:
    """Return what another person holds, or held when it was cancelled, if nothing was let go since.

    about: for each (writer, action, subject), the newest. A project's code counts in any letters.
    """
    wanted = {one for one in about if one[2] != EVERYTHING}
    subjects = {folded(subject) for _, _, subject in wanted}
    projects = {subject for subject in subjects if subject.startswith("project:")}
    known: dict[tuple[str, str, str], Known] = {}
    for statement, some in ((_KEPT, subjects - projects), (_KEPT_PROJECTS, projects)):
        for row in bulk.among(conn, statement, some):
            if row.held_by != asker(row.writer, row.on_behalf_of):
                about_one = row.writer, row.action, folded(row.subject)
                known[about_one] = Known(row.id, row.state, row.digest, row.held_by)
    folding = {one: (one[0], one[1], folded(one[2])) for one in wanted}
    return {one: known[name] for one, name in folding.items() if name in known}


def taken(conn: Connection, bodies: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the first request with each (writer, digest) that was not refused."""
    wanted = set(bodies)
    known: dict[tuple[str, str], Known] = {}
    for part in chunks({digest for _, digest in wanted}):
        rows = conn.execute(
            select(requests.c.id, requests.c.state, requests.c.digest, requests.c.writer)
            .where(requests.c.digest.in_(part), requests.c.state != RequestState.REFUSED)
            .order_by(requests.c.id)
        )
        for request, state, digest, writer in rows:
            known.setdefault((writer, digest), Known(request, state, digest))
    return {body: request for body, request in known.items() if body in wanted}


_PROVIDING = ("project.provision", "allocation.provision")
"""Actions that make a subject; all others are about one that is there."""

_HAVING = (*RUNNING, RequestState.DONE, RequestState.FAILED)


def had(conn: Connection, root: str, writer: str) -> bool:
    """Return True if a writer's request for a subject has begun, whoever has it now.

    What never began, as an older order or a request that waits for a release, made nothing.
    """
    return _any_provision(conn, root, writer, _HAVING, _BEGUN)


def newest_having() -> Select[tuple[RequestId]]:
    """Return a statement for the newest request of each writer by which `had` is True of a subject
    that somebody claims."""
    claimed = select(claims.c.root).where(claims.c.root == requests.c.subject).exists()
    having = requests.c.action.in_(_PROVIDING), requests.c.state.in_(_HAVING), claimed, _BEGUN
    return (
        select(func.max(requests.c.id))
        .where(*having)
        .group_by(requests.c.writer, requests.c.subject)
    )


def waits(conn: Connection, root: str, writer: str) -> bool:
    """Return True if a writer's request for a subject waits for a release or for its time."""
    return _any_provision(conn, root, writer, [RequestState.HELD, RequestState.SCHEDULED])


def _any_provision(
    conn: Connection,
    root: str,
    writer: str,
    states: Collection[RequestState],
    *more: ColumnElement[bool],
) -> bool:
    statement = select(requests.c.id).where(
        requests.c.writer == writer,
        requests.c.subject == root,
        requests.c.action.in_(_PROVIDING),
        requests.c.state.in_(list(states)),
        *more,
    )
    return conn.scalar(statement.limit(1)) is not None


def undone(conn: Connection, record: Record) -> list[RequestId]:
    """List what a request's writer asked for its subject since such a request was last done.

    Parts of the subject count, too, and so does the whole of which it is a part.
    """
    own = requests.c.writer == record.writer, requests.c.id < record.id
    root = record.subject.partition("/")[0]
    whole = or_(is_subject(requests.c.subject, root), lies_in(requests.c.subject, root))
    done = (
        is_subject(requests.c.subject, record.subject),
        requests.c.action == record.action,
        requests.c.state == RequestState.DONE,
        requests.c.duplicate_of.is_(None),
    )
    last = conn.scalar(select(func.max(requests.c.id)).where(*own, *done))
    statement = select(requests.c.id).where(*own, whole, requests.c.state != RequestState.DONE)
    if last is not None:
        statement = statement.where(requests.c.id > last)
    return list(conn.scalars(statement.order_by(requests.c.id)))


def standing(conn: Connection, record: Record, actions: Collection[str]) -> list[Record]:
    """List a writer's other requests for the same subject that are in force, the last one first.

    actions: only these.
    """
    rows = conn.execute(
        select(requests).where(
            requests.c.writer == record.writer,
            requests.c.subject == record.subject,
            requests.c.action.in_(list(actions)),
            requests.c.state.in_([*RUNNING, RequestState.DONE, RequestState.FAILED]),
            requests.c.duplicate_of.is_(None),
            requests.c.id != record.id,
        )
    )
    found = map(Record.from_row, rows)
    return sorted(found, key=lambda one: order(one.id, one.accepted), reverse=True)


def undone_within(conn: Connection, record: Record) -> list[RequestId]:
    """List what the writer of a held manifest asked for the subjects that it would change.

    Parts of a subject count, too. Left out is what was asked before the same was last done.
    """
    seen = changes.shown(conn, record.id)
    if seen is None:
        return []
    roots = {folded(name.partition("/")[0]) for names in seen.subjects.values() for name in names}
    whole = sum(seen.counts.values()) == sum(map(len, seen.subjects.values()))
    own = requests.c.writer == record.writer, requests.c.id < record.id
    statement = select(requests.c.id, requests.c.subject, requests.c.action).where(*own)
    rows = [
        row
        for row in conn.execute(statement.where(requests.c.state != RequestState.DONE))
        if not whole or folded(row.subject.partition("/")[0]) in roots
    ]
    last: dict[tuple[str, str], str] = {}
    for part in chunks({row.subject for row in rows}):
        done = (
            select(requests.c.subject, requests.c.action, func.max(requests.c.id))
            .where(*own, requests.c.subject.in_(part), requests.c.state == RequestState.DONE)
            .where(requests.c.duplicate_of.is_(None))
            .group_by(requests.c.subject, requests.c.action)
        )
        last.update({(subject, action): newest for subject, action, newest in conn.execute(done)})
    return [row.id for row in rows if row.id > last.get((row.subject, row.action), "")]


_ORDERS = (
    select(requests.c.order_key, func.max(requests.c.order_number))
    .where(
        requests.c.writer == bindparam("b_writer"),
        requests.c.order_key.in_(IDS),
        requests.c.state != RequestState.REFUSED,
    )
    .group_by(requests.c.order_key)
)


def highest_orders(
    conn: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the highest order number accepted under each (writer, key)."""
    return {
        (writer, key): number
        for writer, keys in by_writer(names).items()
        for key, number in bulk.among(conn, _ORDERS, keys, b_writer=writer)
    }


def by_writer(names: Collection[tuple[str, str]]) -> dict[str, set[str]]:
    """Group names by their writers: of one writer they are found by an index."""
    grouped: dict[str, set[str]] = {}
    for writer, name in names:
        grouped.setdefault(writer, set()).add(name)
    return grouped


_WITHDRAWN = select(requests.c.subject, requests.c.id, requests.c.accepted).where(
    requests.c.subject.in_(IDS),
    requests.c.state.in_([*RUNNING, RequestState.DONE, RequestState.FAILED]),
    requests.c.duplicate_of.is_(None),
)
_OWN = select(requests.c.accepted).where(requests.c.id == bindparam("b_id"))


def withdrawn_by(
    conn: Connection, request: RequestId, claimants: Collection[str]
) -> dict[str, RequestId]:
    """Return the request that was accepted last after one, about each of some claimants or about
    its root."""
    if not claimants:
        return {}
    about = {claimant: {claimant, claimant.partition("/")[0]} for claimant in claimants}
    subjects = set[str]().union(*about.values())
    since = order(request, conn.scalar(_OWN, {"b_id": request}) or 0.0)
    newest = dict.fromkeys(subjects, since)
    for subject, later, accepted in bulk.among(conn, _WITHDRAWN, subjects):
        newest[subject] = max(newest[subject], order(later, accepted))
    found = {claimant: max(newest[one] for one in both) for claimant, both in about.items()}
    return {claimant: place[-1] for claimant, place in found.items() if place != since}
