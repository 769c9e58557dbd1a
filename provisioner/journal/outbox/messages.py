"""Messages: what is still to be sent to people or to the site's hook, and what was sent.

Promises: everything is read and written inside the caller's transaction. A message stays until it
was sent, merged into a summary or given up, and its id never changes. Leaves out: sending
(`notify`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, or_, select, update

from provisioner.journal import bulk
from provisioner.journal.dialect import chunks, upsert
from provisioner.journal.schema import messages, requests
from provisioner.objects.states import MessageState
from provisioner.system import ulid

MAIL, HOOK = "mail", "hook"

KEYS = (
    *("account", "allocation", "ends", "failure", "digest", "items", "quota", "idle"),
    *("suspended", "again"),
)
"""Keys that every message has, also where an event says nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. Times in seconds since the epoch; address: '' if there is none; summary: the id
    of the message that went in its place."""

    id: str
    channel: str
    event: str
    person: str
    address: str
    subject: str
    facts: Mapping[str, Any]
    state: MessageState
    made: float
    due: float
    attempts: int = 0
    ended: float | None = None
    error: str | None = None
    summary: str | None = None


_INSERT = upsert(messages).on_conflict_do_nothing(index_elements=["id"])
_COLUMNS = [column.name for column in messages.columns]


def add(conn: Connection, added: Sequence[Message]) -> list[Message]:
    """Add messages that are not there yet. Return those whose id another message has.

    A message that is there already is no news. An error would keep all others from people.
    """
    rows = [{name: getattr(m, name) for name in _COLUMNS} for m in added]
    if bulk.count(conn, _INSERT, rows) == len(added):
        return []
    kept: dict[str, Message] = {}
    for part in chunks([m.id for m in added]):
        listed = _listed(conn, select(messages).where(messages.c.id.in_(part)))
        kept |= {message.id: message for message in listed}
    return [m for m in added if _for(m) != _for(kept[m.id])]


def _for(message: Message) -> tuple[str, ...]:
    """Return for whom a message is, and what it is about."""
    return message.channel, message.event, message.person, message.address, message.subject


def mailbox(address: str) -> str:
    """Return the name under which mails to an address are counted.

    RFC 5321, 2.4: a domain is the same in any letters, and so is a mailbox on nearly every server.
    """
    return address.lower()


def due(
    conn: Connection,
    channel: str,
    now: float,
    latest: float,
    limit: int,
    without: Collection[str] = (),
) -> list[Message]:
    """List waiting messages of a channel that are due, as they take turns, at most `limit`.

    First those whose requests are of different submitters; among those of one submitter, of
    different requests; then the oldest. So neither a writer nor a request with very many of them
    keeps those of others waiting. latest: no message can be due after it, so that one that is was
    put off by a wrong clock; without: addresses (`mailbox`) that get nothing now.
    """
    waiting = (
        messages.c.state == MessageState.WAITING,
        messages.c.channel == channel,
        or_(messages.c.due <= now, messages.c.due > latest),
        func.lower(messages.c.address).not_in(list(without)),
    )
    first = _in_turns(and_(*waiting)).limit(limit).subquery()
    return _listed(
        conn,
        select(messages)
        .join(first, first.c.id == messages.c.id)
        .order_by(first.c.turn, messages.c.made, messages.c.id),
    )


def _in_turns(which: ColumnElement[bool]) -> Select[Any]:
    """Select ids of messages in their turns. A message's id begins with that of its request."""
    own = func.substr(messages.c.id, 1, ulid.LENGTH)
    age = (messages.c.made, messages.c.id)
    nth = func.row_number().over(partition_by=own, order_by=age).label("nth")
    of_requests = (
        select(messages.c.id, messages.c.made, requests.c.uid, nth)
        .outerjoin(requests, requests.c.id == own)
        .where(which)
        .subquery()
    )
    within = (of_requests.c.nth, of_requests.c.made, of_requests.c.id)
    turn = func.row_number().over(partition_by=of_requests.c.uid, order_by=within).label("turn")
    of_writers = select(of_requests.c.id, of_requests.c.made, turn).subquery()
    return select(of_writers.c.id, of_writers.c.turn).order_by(
        of_writers.c.turn, of_writers.c.made, of_writers.c.id
    )


def listed(conn: Connection, states: Collection[MessageState], limit: int) -> list[Message]:
    """List messages in some states, the newest first."""
    return _listed(
        conn,
        select(messages)
        .where(messages.c.state.in_(list(states)))
        .order_by(messages.c.made.desc(), messages.c.id.desc())
        .limit(limit),
    )


def _listed(conn: Connection, statement: Any) -> list[Message]:
    return [Message(**row._mapping) for row in conn.execute(statement)]


def counts(conn: Connection) -> dict[str, int]:
    """Count messages by state."""
    rows = conn.execute(select(messages.c.state, func.count()).group_by(messages.c.state))
    return {row[0]: row[1] for row in rows}


def sent_between(conn: Connection, since: float, until: float) -> dict[str, list[float]]:
    """Return when mail was sent to each address (`mailbox`), between two times.

    until: now; what was sent later was sent while the clock was ahead.
    """
    found: dict[str, list[float]] = {}
    rows = conn.execute(
        select(messages.c.address, messages.c.ended).where(
            messages.c.state == MessageState.SENT,
            messages.c.channel == MAIL,
            messages.c.ended > since,
            messages.c.ended <= until,
        )
    )
    for row in rows:
        found.setdefault(mailbox(row.address), []).append(row.ended)
    return found


def end(
    conn: Connection, ids: Collection[str], state: MessageState, now: float, error: str | None
) -> None:
    """Write that messages need not be sent any more, and why."""
    for part in chunks(ids):
        conn.execute(
            update(messages)
            .where(messages.c.id.in_(part), messages.c.state == MessageState.WAITING)
            .values(state=state, ended=now, error=error, attempts=messages.c.attempts + 1)
        )


def merge(conn: Connection, ids: Collection[str], summary: str, now: float) -> None:
    """Write that one message goes in the place of others. Whether it was taken, only it says."""
    for part in chunks(ids):
        conn.execute(
            update(messages)
            .where(messages.c.id.in_(part), messages.c.state == MessageState.WAITING)
            .values(state=MessageState.MERGED, ended=now, error=None, summary=summary)
        )


def put_off(conn: Connection, ids: Collection[str], until: float, error: str) -> None:
    """Write that messages were not taken, and when they are tried again."""
    for part in chunks(ids):
        conn.execute(
            update(messages)
            .where(messages.c.id.in_(part), messages.c.state == MessageState.WAITING)
            .values(due=until, error=error, attempts=messages.c.attempts + 1)
        )


def note(conn: Connection, ids: Collection[str], error: str) -> None:
    """Write why messages could not be sent yet; they stay due."""
    for part in chunks(ids):
        conn.execute(update(messages).where(messages.c.id.in_(part)).values(error=error))


def set_clock(conn: Connection, before: float, now: float) -> None:
    """Correct since when messages have waited, after the time of day jumped.

    before: the time without the jump; now: the time with it. What has waited long is given up.
    """
    made, waiting = messages.c.made, messages.c.state == MessageState.WAITING
    by = now - before
    if by > 0:
        conn.execute(update(messages).where(waiting, made <= before).values(made=made + by))
    back = func.min(made + by, now) if by < 0 else now
    conn.execute(update(messages).where(waiting, made > now).values(made=back))


def of_others(conn: Connection, channels: Collection[str]) -> list[str]:
    """Return the ids of waiting messages of other channels than some."""
    return list(
        conn.scalars(
            select(messages.c.id).where(
                messages.c.state == MessageState.WAITING,
                messages.c.channel.not_in(list(channels)),
            )
        )
    )


def old(conn: Connection, before: float) -> bool:
    """Return True if there are messages that ended before a time."""
    return conn.scalar(select(messages.c.id).where(_ended(before)).limit(1)) is not None


def forget(conn: Connection, before: float, most: int) -> int:
    """Delete messages that ended before a time; return how many. most: delete no more."""
    some = select(messages.c.id).where(_ended(before)).limit(most)
    return conn.execute(delete(messages).where(messages.c.id.in_(some))).rowcount


def _ended(before: float) -> ColumnElement[bool]:
    return and_(messages.c.state != MessageState.WAITING, messages.c.ended < before)
