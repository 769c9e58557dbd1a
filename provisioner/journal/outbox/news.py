"""News: the outcomes of requests of which nobody has been told yet.

Promises: an event is news as soon as its transaction is durable, and once. The number of the last
event that was looked at is written with the messages that followed from it. Telling people costs a
request nothing: its own event is the entry. Leaves out: whom an outcome concerns (`notify`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from provisioner.journal import audit, facts
from provisioner.journal.schema import events, requests
from provisioner.objects.states import ENDED
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Outcome:
    """The event that a request ended. seq: its number; state: how it ended."""

    seq: int
    request: RequestId
    state: str
    at: float


@dataclass(frozen=True, slots=True)
class News:
    """A part of what happened. last: the number of the last event of it."""

    outcomes: Sequence[Outcome]
    last: int


def begun(conn: Connection) -> bool:
    """Return True if people are told what happens."""
    return facts.get(conn, facts.TOLD) is not None


def begin(conn: Connection) -> None:
    """Begin to tell: what happened before is known, or was never to be told."""
    if facts.get(conn, facts.TOLD) is None:
        through(conn, audit.head(conn).seq)


def end(conn: Connection) -> None:
    """Tell nobody any more. What happens from now on is not told later either."""
    facts.remove(conn, facts.TOLD)


def through(conn: Connection, seq: int) -> None:
    """Write the number of the last event that was looked at."""
    facts.put(conn, facts.TOLD, str(seq))


def waiting(conn: Connection) -> bool:
    """Return True if there are events that nobody has looked at."""
    seen = facts.get(conn, facts.TOLD)
    return seen is not None and _last(conn) > int(seen)


def portion(conn: Connection, most: int) -> News | None:
    """Return the oldest part of the news; None if there is none. most: outcomes in it."""
    seen = facts.get(conn, facts.TOLD)
    return None if seen is None else after(conn, int(seen), most)


_OUTCOMES = (
    select(events.c.seq, events.c.at, events.c.request, events.c.kind)
    .where(
        events.c.seq > bindparam("b_seq"),
        events.c.kind.in_(ENDED),
        events.c.request.is_not(None),
    )
    .order_by(events.c.seq)
    .limit(bindparam("b_most"))
)


def after(conn: Connection, seq: int, most: int) -> News | None:
    """Return the outcomes after an event; None if nothing happened since."""
    rows = conn.execute(_OUTCOMES, {"b_seq": seq, "b_most": most}).all()
    # Few events are outcomes: those behind the last one of a part that is not full have none.
    last = rows[-1].seq if len(rows) == most else _last(conn)
    if last <= seq:
        return None
    return News([Outcome(r.seq, r.request, r.kind, r.at) for r in rows], last)


def _last(conn: Connection) -> int:
    return conn.scalar(_LAST) or 0


_LAST = select(func.max(events.c.seq))


def ended_since(conn: Connection, since: float) -> dict[str, int]:
    """Count the requests that ended since a time, by how they ended."""
    rows = conn.execute(
        select(requests.c.state, func.count())
        .where(requests.c.ended >= since, requests.c.state.in_(ENDED))
        .group_by(requests.c.state)
    )
    return {str(row[0]): row[1] for row in rows}
