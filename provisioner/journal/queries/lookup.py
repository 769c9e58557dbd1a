"""Looking up: which request a name means to whoever says it.

Promises: everything is read inside the caller's transaction. A name is a whole ULID, or else an own
id of who asks, or else the beginning of a ULID, or else another writer's own id; what is ambiguous
is refused, naming writer and subject of each. Nobody makes a name mean something else to another:
what was refused counts for its own writer alone, as long as anything else bears the name. Who may
not steer others' requests learns of their own only, not even that there are others. Leaves out: who
may do what with it (`policy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from provisioner.contract import InvalidRequest
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import requests
from provisioner.objects.states import OPEN, RequestState
from provisioner.system.ulid import LENGTH

_SHORTEST = 4
"""Characters of the beginning of an id."""

_NAMED = 10
"""Requests that an ambiguous name is told to mean; as many as there are, when it is one more."""


@dataclass(frozen=True, slots=True)
class Seeker:
    """Who looks a request up.

    others: they may steer other submitters' requests, too; asking: the request by which they ask,
    which the beginning of an id does not mean.
    """

    uid: int
    others: bool
    asking: str = ""


def find(conn: Connection, name: str, seeker: Seeker) -> Record:
    """Find the request that a name means.

    Raises InvalidRequest when there is none, or more than one.
    """
    found = seek(conn, name, seeker)
    if found is None:
        raise InvalidRequest(
            f"there is no request {name!r}",
            field="request",
            expected="an id as `provisioner queue` prints it",
        )
    return found


def seek(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    """Find the request that a name means; None: there is none.

    Raises InvalidRequest when there is more than one.
    """
    found = _exact(conn, name, seeker) or _own(conn, name, seeker) or _begun(conn, name, seeker)
    return _of_others(conn, name, seeker) if found is None and seeker.others else found


def knows(conn: Connection, request: str, seeker: Seeker) -> bool:
    """Return True if who asks may know of a request."""
    return _exact(conn, request, seeker) is not None


def _exact(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    found = (
        request_rows.load(conn, [name.upper()]).get(name.upper()) if len(name) == LENGTH else None
    )
    return found if found is not None and (seeker.others or found.uid == seeker.uid) else None


def _own(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    mine = (requests.c.writer_id == name) & (requests.c.uid == seeker.uid)
    return _first(_select(conn, mine))


def _begun(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    if len(name) < _SHORTEST:
        return None
    first = name.upper()
    begins = (requests.c.id >= first) & (requests.c.id < f"{first}~")
    begins &= requests.c.id != seeker.asking
    if not seeker.others:
        begins &= requests.c.uid == seeker.uid
    found = _select(conn, begins, _NAMED + 1)
    if len(found) > 1:
        many = str(len(found)) if len(found) <= _NAMED else f"more than {_NAMED}"
        raise _ambiguous(f"{name!r} begins {many} ids", found[-_NAMED:])
    return found[0] if found else None


def _of_others(conn: Connection, name: str, seeker: Seeker) -> Record | None:
    theirs = (requests.c.writer_id == name) & (requests.c.uid != seeker.uid)
    found = _select(conn, theirs)
    found = [one for one in found if one.state != RequestState.REFUSED] or found
    newest = [_first([one for one in found if one.uid == uid]) for uid in {f.uid for f in found}]
    chosen = sorted((one for one in newest if one is not None), key=lambda one: one.id)
    if len(chosen) > 1:
        raise _ambiguous(f"{name!r} is {len(chosen)} writers' own id", chosen[-_NAMED:])
    return chosen[0] if chosen else None


def _select(
    conn: Connection, matches: ColumnElement[bool], limit: int | None = None
) -> list[Record]:
    """List what matches, oldest first; limit: the newest alone."""
    statement = select(requests).where(matches).order_by(requests.c.id.desc()).limit(limit)
    return [Record.from_row(row) for row in conn.execute(statement)][::-1]


def _first(found: Sequence[Record]) -> Record | None:
    """Choose of one writer's requests with an own id: what is open goes first, then the newest.

    What only repeats the id, and was answered or refused for it, goes last.
    """

    def rank(one: Record) -> tuple[bool, bool, str]:
        return one.state in OPEN, one.duplicate_of is None, one.id

    return max(found, key=rank, default=None)


def _ambiguous(why: str, found: Sequence[Record]) -> InvalidRequest:
    told = ", ".join(f"{one.id} ({one.action} {one.subject} of {one.asker})" for one in found)
    return InvalidRequest(why, field="request", expected=f"one of {told}")
