"""Lookup: which request a name means to the person who types it.

Promises: everything is read inside the caller's transaction. A name is, in this order, a whole
ULID, an own id of the person who asks, the beginning of a ULID, or another writer's own id. What
people type may also be the end of a ULID, which goes before what others chose, or a file's name. An
ambiguous name is refused, with writer and subject of each match. Nobody can make a name mean
something else to others: a refused request counts only for its own writer while another request has
the name. People who may not steer others' requests see only their own, and not even that there are
others. A request is one's own only if its writer has the uid and the name of the person who asks: a
uid may have had another user before. Leaves out: who may do what with it (`policy`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, or_, select

from provisioner.contract import InvalidRequest
from provisioner.journal.dialect import chunks
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import requests
from provisioner.objects.states import OPEN, RequestState
from provisioner.plain.values import value
from provisioner.system.ulid import LENGTH, RequestId

_KINDS = ("user:", "project:", "allocation:")
"""How subjects begin that people ask about."""

_SHORTEST = 4
"""The fewest characters of the beginning of an id."""

SHORT = 6
"""The fewest characters of a short id: the end of an id, because ids of one day begin alike."""

_NAMED = 10
"""The most requests that the message about an ambiguous name lists."""


@value(frozen=True, slots=True)
class Seeker:
    """Who looks a request up.

    uid, writer: theirs of now; others: they may steer other submitters' requests, too; asking: the
    request by which they ask, which the beginning of an id never means.
    """

    uid: int
    writer: str
    others: bool
    asking: RequestId | Literal[""] = ""

    def owns(self, record: Record) -> bool:
        """Return True if a request is their own."""
        return (record.uid, record.writer) == (self.uid, self.writer)

    @property
    def own(self) -> ColumnElement[bool]:
        """Match their own requests."""
        return (requests.c.uid == self.uid) & (requests.c.writer == self.writer)


def find(conn: Connection, name: str, seeker: Seeker) -> Record:
    """Return the request that a name means.

    Raises InvalidRequest if there is none, or more than one.
    """
    record = seek(conn, name, seeker)
    if record is None:
        raise InvalidRequest(
            f"there is no request {name!r}",
            field="request",
            expected="an id as `provisioner queue` prints it",
        )
    return record


def seek(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    """Return the request that a name means; None if there is none.

    Raises InvalidRequest if there is more than one.
    """
    found = _exact(conn, name, seeker) or _own(conn, name, seeker) or _begun(conn, name, seeker)
    return _of_others(conn, name, seeker) if found is None and seeker.others else found


def typed(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    """Return the request that a name means to a person who may see all; None if there is none.

    What the service gave, as the end of an id, goes before what other writers chose: anybody may
    choose an own id or a file's name that reads like it. Raises InvalidRequest if there is more
    than one.
    """
    found = _exact(conn, name, seeker) or _own(conn, name, seeker) or _begun(conn, name, seeker)
    found = found or ending(conn, name) or _of_others(conn, name, seeker)
    return found or _of_file(conn, name, seeker)


def ending(conn: Connection, name: str) -> Record | None:
    """Return the request whose id ends like a short id; None if there is none.

    It reads all ids, and so is for people who type, not for the service. Raises InvalidRequest if
    several end so.
    """
    if not _SHORTEST <= len(name) < LENGTH or not name.isalnum():
        return None
    matches = _select(
        conn, func.substr(requests.c.id, LENGTH + 1 - len(name)) == name.upper(), _NAMED + 1
    )
    if len(matches) > 1:
        raise _ambiguous(f"{len(matches)} ids end in {name!r}", matches[-_NAMED:])
    return matches[0] if matches else None


def short(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, str]:
    """Return the shortest end of each id that no other id has, in lower case."""
    made: dict[RequestId, str] = {}
    for length in range(SHORT, LENGTH, 2):
        ends = {request: request[-length:] for request in ids if request not in made}
        end = func.substr(requests.c.id, LENGTH + 1 - length).label("ending")
        counts: dict[str, int] = {}
        for part in chunks(set(ends.values())):
            counted = select(end, func.count()).where(end.in_(part)).group_by("ending")
            rows = conn.execute(counted)
            counts.update({row[0]: row[1] for row in rows})
        made |= {request: e.lower() for request, e in ends.items() if counts.get(e, 1) == 1}
    return made | {request: request for request in ids if request not in made}


def knows(conn: Connection, request: RequestId, seeker: Seeker) -> bool:
    """Return True if the person who asks may know of a request."""
    return _exact(conn, request, seeker) is not None


def beginning_with(conn: Connection, beginning: str, limit: int) -> list[Record]:
    """List the newest requests whose ids begin with a text, the newest first."""
    return _select(conn, _begins(requests.c.id, beginning.upper()), limit)[::-1]


def named_since(conn: Connection, names: Collection[str], since: str) -> list[Record]:
    """List the requests whose files had some names, the oldest first.

    since: the beginning of a ULID.
    """
    found: list[Record] = []
    for part in chunks(names):
        statement = select(requests).where(requests.c.name.in_(part), requests.c.id >= since)
        found += map(Record.from_row, conn.execute(statement))
    return sorted(found, key=lambda record: record.id)


def subjects(conn: Connection, beginning: str, limit: int) -> list[str]:
    """List people, projects and allocations of accepted requests that begin with a text."""
    statement = (
        select(requests.c.subject)
        .where(
            _begins(requests.c.subject, beginning),
            or_(*(_begins(requests.c.subject, kind) for kind in _KINDS)),
            requests.c.subject.not_like("%/%"),
            requests.c.state != RequestState.REFUSED,
        )
        .distinct()
        .order_by(requests.c.subject)
        .limit(limit)
    )
    return list(conn.scalars(statement))


def _begins(column: ColumnElement[str], beginning: str) -> ColumnElement[bool]:
    """Match texts that begin with another; a range, which uses the index, and knows case."""
    return (column >= beginning) & (column < f"{beginning}~")


def _exact(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    ulid = RequestId(name.upper())
    record = request_rows.load(conn, [ulid]).get(ulid) if len(name) == LENGTH else None
    return record if record is not None and (seeker.others or seeker.owns(record)) else None


def _own(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    return _best(conn, (requests.c.writer_id == name) & seeker.own)


def _begun(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    if len(name) < _SHORTEST:
        return None
    first = name.upper()
    begins = _begins(requests.c.id, first) & (requests.c.id != seeker.asking)
    if not seeker.others:
        begins &= seeker.own
    matches = _select(conn, begins, _NAMED + 1)
    if len(matches) > 1:
        many = str(len(matches)) if len(matches) <= _NAMED else f"more than {_NAMED}"
        raise _ambiguous(f"{name!r} begins {many} ids", matches[-_NAMED:])
    return matches[0] if matches else None


def _of_others(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    theirs = (requests.c.writer_id == name) & ~seeker.own
    served = theirs & (requests.c.state != RequestState.REFUSED)
    for which in (served, theirs):
        writers = conn.execute(select(requests.c.uid, requests.c.writer).where(which).distinct())
        if matches := [_best(conn, which & _is(*one)) for one in writers]:
            return _one_writers([one for one in matches if one], f"{name!r} is", "own id")
    return None


def _is(uid: int, writer: str) -> ColumnElement[bool]:
    return (requests.c.uid == uid) & (requests.c.writer == writer)


def _of_file(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    """Return the newest request whose file had a name: the seeker's own, or one other writer's."""
    newest = select(func.max(requests.c.id)).where(requests.c.name == name)
    served = requests.c.state != RequestState.REFUSED
    for which in (newest.where(seeker.own), newest.where(served), newest):
        ids = which.group_by(requests.c.uid, requests.c.writer)
        if matches := _select(conn, requests.c.id.in_(ids)):
            return _one_writers(matches, f"{name!r} is the name of", "file")
    return None


def _one_writers(matches: Sequence[Record], why: str, what: str) -> Record | None:
    """Return the only match; None if there is none. matches: at most one of each writer."""
    chosen = sorted(matches, key=lambda match: match.id)
    if len(chosen) > 1:
        raise _ambiguous(f"{why} {len(chosen)} writers' {what}", chosen[-_NAMED:])
    return chosen[0] if chosen else None


def _select(
    conn: Connection, matches: ColumnElement[bool], limit: int | None = None
) -> list[Record]:
    """List the matches, oldest first. limit: return only so many of the newest."""
    statement = select(requests).where(matches).order_by(requests.c.id.desc()).limit(limit)
    return [Record.from_row(row) for row in conn.execute(statement)][::-1]


def _best(conn: Connection, matches: ColumnElement[bool]) -> Record | None:
    """Return the best of one writer's requests with an own id: an open one, else the newest.

    A request that only repeated the id, and got its answer or its refusal for that, comes last. Of
    the others nothing is read: a writer may have repeated an id very often.
    """
    rank = requests.c.state.in_(OPEN), requests.c.duplicate_of.is_(None), requests.c.id
    best = select(requests.c.id).where(matches).order_by(*(part.desc() for part in rank)).limit(1)
    return next(iter(_select(conn, requests.c.id == best.scalar_subquery())), None)


def _ambiguous(why: str, matches: Sequence[Record]) -> InvalidRequest:
    listed = ", ".join(
        f"{match.id} ({match.action} {match.subject} of {match.asker})" for match in matches
    )
    return InvalidRequest(why, field="request", expected=f"one of {listed}")
