"""Dates: when the access of subjects ends, and by whose word.

A date is said by a request (`ends`), or by a writer's manifest of a person whom another writer has
(`persons.words`). Promises: reads inside the caller's transaction, and only what is asked for.
Leaves out: what follows when a date has come (`admission.endings`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, exists, func, or_, select, update

from provisioner.journal.dialect import chunks
from provisioner.journal.persons import askers
from provisioner.journal.persons.askers import Asker
from provisioner.journal.queries import history
from provisioner.journal.schema import claims, requests, steps, words
from provisioner.objects.states import RequestState
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class End:
    """When a subject's access ends. request: the one that says so, of a writer, or the writer's
    manifest's.

    at: seconds since the epoch; ended_by: the service's request that ended it, None before.
    """

    subject: str
    at: float
    request: RequestId
    writer: str
    uid: int
    ended_by: RequestId | None = None


_BY_REQUEST = select(
    requests.c.id, requests.c.subject, requests.c.ends, requests.c.writer, requests.c.uid,
    requests.c.ended_by,
).where(requests.c.ends.is_not(None))  # fmt: skip
_BY_WORD = (
    select(
        words.c.request.label("id"), words.c.subject, words.c.ends, words.c.writer, requests.c.uid,
        words.c.ended_by,
    )
    .join_from(words, requests, requests.c.id == words.c.request)
    .where(words.c.ends.is_not(None))
)  # fmt: skip

_Which = Callable[[FromClause], ColumnElement[bool]]
"""Which of the rows of a table that has dates."""


def ends_until(
    conn: Connection, until: float, failed: float = 0.0, now: float = math.inf
) -> list[End]:
    """List the dates in force up to a time that were not followed yet, earliest first.

    failed: also those whose request failed or was refused before this time, and never began; now:
    or after this time, when the clock was ahead.

    A date is in force while no newer request of the subject has claimed. One that was cancelled or
    is held moves no date, whatever it had made before. Of a person, it is the last of the dates of
    all writers who ask for them, and there is none while one of them asks without.
    """

    def is_due(table: FromClause) -> ColumnElement[bool]:
        open_yet = or_(table.c.ended_by.is_(None), _in_vain(table, failed, now))
        return (table.c.ends <= until) & open_yet

    return _in_force(conn, _dated(conn, is_due))


def _in_vain(table: FromClause, failed: float, now: float) -> ColumnElement[bool]:
    asked = requests.alias()
    return exists().where(
        asked.c.id == table.c.ended_by,  # by its key: very many requests may have failed
        asked.c.state.in_([RequestState.FAILED, RequestState.REFUSED]),
        or_(asked.c.ended < failed, asked.c.ended > now),
        ~select(steps.c.name).where(steps.c.request == asked.c.id).exists(),
    )


def ends_of(conn: Connection, subjects: Collection[str]) -> list[End]:
    """List the dates in force of some subjects, earliest first."""
    return _in_force(conn, _said_of(conn, subjects))


def last_said(conn: Connection, subjects: Collection[str]) -> dict[str, float]:
    """Return when the newest requests of some subjects let access end, whoever else asks."""
    return {end.subject: end.at for end in _newest(conn, _said_of(conn, subjects))}


def said_inside(conn: Connection, ids: Collection[RequestId]) -> set[str]:
    """Return the subjects with something inside that has a date by one of some requests."""
    found: set[str] = set()
    for part in chunks(ids):
        rows = select(requests.c.subject).where(requests.c.id.in_(part), requests.c.ends > 0)
        found |= {subject.partition("/")[0] for subject in conn.scalars(rows) if "/" in subject}
    return found


def _said_of(conn: Connection, subjects: Collection[str]) -> list[Any]:
    rows: list[Any] = []
    for part in chunks(subjects):
        rows += _dated(conn, partial(_are_of, part))
    return rows


def _are_of(subjects: Sequence[str], table: FromClause) -> ColumnElement[bool]:
    return table.c.subject.in_(subjects)


def follows_a_date(conn: Connection, request: RequestId) -> bool:
    """Return True if the service made a request because a date had come."""
    return bool(_dated(conn, lambda table: table.c.ended_by == request))


def ended_in_vain(conn: Connection, request: RequestId) -> str:
    """Return why a request that the service made for a date must not be followed any more.

    '' if the date is still in force, or it is no such request.
    """
    rows = _dated(conn, lambda table: table.c.ended_by == request)
    if not rows or _in_force(conn, rows):
        return ""
    return f"the date of {rows[0].id}, which it follows, was moved or removed since"


def set_ended(conn: Connection, end: End, ended_by: RequestId) -> None:
    """Record which request of the service's own follows from a date."""
    by_request = (requests.c.id == end.request, requests.c.subject == end.subject)
    conn.execute(update(requests).where(*by_request).values(ended_by=ended_by))
    by_word = (words.c.subject == end.subject, words.c.request == end.request)
    conn.execute(update(words).where(*by_word).values(ended_by=ended_by))


def _dated(conn: Connection, which: _Which) -> list[Any]:
    """Return the rows that say a date, of requests and of words."""
    said = conn.execute(_BY_REQUEST.where(which(requests))).all()
    return [*said, *conn.execute(_BY_WORD.where(which(words))).all()]


def _in_force(conn: Connection, rows: Sequence[Any]) -> list[End]:
    """Return the dates by which access ends, of those that were said, earliest first."""
    last = _last_of_all(conn, {row.subject for row in rows})
    ends = _newest(conn, [row for row in rows if row.subject not in last])
    for row in rows:
        asker = last.get(row.subject)
        if asker is not None and asker.request == row.id:
            ends.append(_end(row))
    return sorted(ends, key=lambda end: (end.at, end.request))


def _last_of_all(conn: Connection, subjects: Collection[str]) -> dict[str, Asker | None]:
    """Return who says the last date, for each person for whom somebody asks, or did.

    None while one of them names no date, and after all of them have left the person out.
    """
    last: dict[str, Asker | None] = {}
    for subject, some in askers.of(conn, subjects).items():
        asking = [one for one in some.values() if one.asks]
        until = {one: one.ends for one in asking if one.ends is not None}
        if some:
            whole = until and len(until) == len(asking)
            last[subject] = max(until, key=lambda one: (until[one], one.request)) if whole else None
    return last


def _end(row: Any) -> End:
    return End(row.subject, row.ends, row.id, row.writer, row.uid, row.ended_by)


def _newest(conn: Connection, rows: Sequence[Any]) -> list[End]:
    """Return the dates of those requests that are the newest of their subject to have a claim.

    What one that was cancelled or is held has made counts as the claim of the request before.
    """
    newest: dict[str, str] = {}
    stopped: dict[str, str] = {}
    for part in chunks({row.subject.partition("/")[0] for row in rows}):
        claimed = select(claims.c.request).where(claims.c.root.in_(part)).distinct().subquery()
        is_stopped = requests.c.state.in_(history.STOPPED).label("is_stopped")
        statement = (
            select(requests.c.subject, is_stopped, func.max(requests.c.id))
            .where(requests.c.id.in_(select(claimed.c.request)))
            .group_by(requests.c.subject, "is_stopped")
        )
        for subject, stops, request in conn.execute(statement):
            (stopped if stops else newest)[subject] = request
    for subject, request in _behind(conn, {name.partition("/")[0] for name in stopped}):
        newest[subject] = max(request, newest.get(subject, ""))
    return [
        _end(row) for row in rows if (newest.get(row.subject) or stopped.get(row.subject)) == row.id
    ]


def _behind(conn: Connection, roots: Collection[str]) -> Iterator[tuple[str, RequestId]]:
    """Return whose the claims of stopped requests were before, each with its subject."""
    owner: dict[history.Pair, RequestId] = {}
    for part in chunks(roots):
        ids = select(requests.c.id).where(requests.c.state.in_(history.STOPPED))
        held = select(claims.c.key, claims.c.claimant, claims.c.request).where(
            claims.c.root.in_(part), claims.c.request.in_(ids)
        )
        owner.update({(key, name): request for key, name, request in conn.execute(held)})
    mentions = history.of(conn, owner)
    asked = {mention.request for some in mentions.values() for mention in some}
    about = {}
    for some_ids in chunks(asked):
        rows = select(requests.c.id, requests.c.subject, requests.c.state)
        found = conn.execute(rows.where(requests.c.id.in_(some_ids)))
        about.update({row.id: row for row in found})
    for pair, some in mentions.items():
        if not history.mentioned(some, owner[pair]):
            continue
        standing = [
            one
            for one in history.earlier(some, owner[pair])
            if one.counts and not (one.step and about[one.request].state in history.STOPPED)
        ]
        if standing and standing[-1].step:
            row = about[standing[-1].request]
            yield row.subject, row.id
