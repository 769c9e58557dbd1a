"""The audit trail: a chain of events, each with the hash of the one before.

Promises: an event that was altered, removed, put in between or moved no longer fits, and `verify`
names the first one; a head of the chain that was noted elsewhere shows a tail that was cut off or
written anew. Who asked for what is told by the events alone, and `verify` holds the requests'
rows against them. Leaves out: when events are pruned (`retention`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select

from provisioner.contract import InvalidRequest
from provisioner.journal import bulk
from provisioner.journal.dialect import lies_in
from provisioner.journal.schema import events, requests
from provisioner.objects.states import ENDED, RequestState

GENESIS = "0" * 64
"""What the first event of all carries as the hash of the one before."""

PRUNED = "pruned"
"""The kind of event that says from where the chain goes on."""

OBJECT = "object"
"""The kind of event that says what became of one object."""

_canonical = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: to which request, about whom. facts: what a program wants to know of it."""

    request: str | None
    kind: str
    text: str = ""
    subject: str | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """An event of the chain by number and hash: with it, all events before it are pinned."""

    seq: int
    hash: str
    at: float = 0.0

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read SEQ:HASH, as the log has it."""
        seq, _, digest = text.strip().partition(":")
        if not seq.isascii() or not seq.isdigit() or len(digest) != len(GENESIS):
            raise InvalidRequest(
                f"{text!r} is no head of the chain", expected="SEQ:HASH, as the log has it"
            )
        return cls(int(seq), digest.lower())


_SEALED = ("seq", "at", "request", "kind", "text", "subject", "facts", "previous")


def seal(cells: Mapping[str, Any]) -> str:
    """Hash an event in its canonical form: a JSON list, ASCII, without spaces.

    cells: the event's row; its own `hash`, if it has one, does not count.
    """
    at = float(cells["at"])
    form = _canonical([at if name == "at" else cells[name] for name in _SEALED])
    return hashlib.sha256(form.encode("ascii")).hexdigest()


_HEAD = select(events.c.seq, events.c.hash, events.c.at).order_by(events.c.seq.desc()).limit(1)
_START = select(events.c.seq, events.c.previous).order_by(events.c.seq).limit(1)
_INSERT = insert(events)
_ALL = select(events).order_by(events.c.seq)


def head(conn: Connection) -> Head:
    """Return the last event; number 0 where there is none."""
    row = conn.execute(_HEAD).first()
    return Head(0, GENESIS) if row is None else Head(*row)


def start(conn: Connection) -> Head:
    """Return the event before the first that is there: what pruning left as the beginning."""
    row = conn.execute(_START).first()
    return Head(0, GENESIS) if row is None else Head(row.seq - 1, row.previous)


def append(conn: Connection, added: Sequence[Event], now: float) -> None:
    """Add events to the chain, inside the caller's transaction."""
    if not added:
        return
    last = head(conn)
    seq, previous = last.seq, last.hash
    rows = []
    for one in added:
        seq += 1
        facts = None if one.facts is None else _canonical(one.facts)
        row: dict[str, Any] = {
            "seq": seq,
            "at": now,
            "request": one.request,
            "kind": one.kind,
            "text": one.text,
            "subject": one.subject,
            "facts": facts,
            "previous": previous,
        }
        row["hash"] = seal(row)
        rows.append(row)
        previous = row["hash"]
    bulk.run(conn, _INSERT, rows)


def asked(
    row: Mapping[str, Any], text: str, reason: str | None = None, behind: Sequence[str] = ()
) -> Event:
    """Tell of a request that came, as its row has it: who asks for what, by which bytes.

    behind: names of others who stand behind it.
    """
    facts = {
        "file": row["name"],
        "asked_by": row["writer"],
        "uid": row["uid"],
        "action": row["action"],
        "sha256": row["digest"],
    }
    more = {
        "id": row.get("writer_id"),
        "on_behalf_of": row.get("on_behalf_of"),
        "behind": list(behind),
        "reason": reason,
        "problems": [problem["message"] for problem in row.get("problems") or ()],
    }
    facts.update({name: value for name, value in more.items() if value})
    return Event(row["id"], row["state"], text, row["subject"], facts)


def behind(conn: Connection, request: str) -> tuple[str, ...] | None:
    """Name who else stands behind a request; None: its first event is no longer there."""
    first = select(events.c.facts).where(events.c.request == request).order_by(events.c.seq)
    facts = _facts(conn.scalar(first.limit(1)))
    return tuple(facts.get("behind", ())) if "asked_by" in facts else None


def prune(conn: Connection, before: float, limit: int, now: float) -> int:
    """Remove the oldest events, up to the first that is not older than a time; return how many.

    An event of the chain itself says from where it goes on, so that it still verifies.
    """
    oldest = select(events.c.seq, events.c.at, events.c.hash).order_by(events.c.seq).limit(limit)
    gone = 0
    last = Head(0, GENESIS)
    for seq, at, digest in conn.execute(oldest):
        if at >= before:
            break
        gone, last = gone + 1, Head(seq, digest, at)
    if gone:
        facts = {"through": last.seq, "hash": last.hash}
        text = f"events up to {last.seq} were pruned"
        append(conn, [Event(None, PRUNED, text, None, facts)], now)
        conn.execute(delete(events).where(events.c.seq <= last.seq))
    return gone


# Verifying.


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of a check. problem: '' where all fits; event: the first that does not fit."""

    events: int
    start: Head
    head: Head
    problem: str = ""
    event: int | None = None


@dataclass(slots=True)
class _Told:
    """What the events say of requests, gathered on the way along the chain."""

    since: float = 0.0
    asked: dict[str, tuple[object, ...]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    def hear(self, row: Any) -> None:
        """Take in what an event says."""
        if row.request is None:
            return
        if row.kind in ENDED:
            self.outcomes[row.request] = row.kind
        facts = _facts(row.facts)
        if "sha256" in facts:
            self.asked[row.request] = (
                facts.get("file"),
                facts.get("asked_by"),
                facts.get("on_behalf_of"),
                facts.get("uid"),
                facts.get("action"),
                row.subject,
                facts["sha256"],
            )


def verify(conn: Connection, pinned: Head | None = None) -> Verified:
    """Walk along the chain, and hold it against a pinned head and the requests' rows."""
    start = last = Head(0, GENESIS)
    known: dict[int, str] = {}
    goes_on: set[tuple[Any, Any]] = set()
    told = _Told()
    count = 0
    for row in _rows(conn):
        if count == 0:
            start = last = Head(row.seq - 1, row.previous)
            told.since = row.at
        problem = _misfit(row, last)
        if problem:
            return Verified(count, start, last, *problem)
        count += 1
        last = Head(row.seq, row.hash, row.at)
        if pinned is not None and row.seq == pinned.seq:
            known[row.seq] = row.hash
        if row.kind == PRUNED:
            facts = _facts(row.facts)
            goes_on.add((facts.get("through"), facts.get("hash")))
        told.hear(row)
    first = (start.seq, start.hash)
    if first != (0, GENESIS) and first not in goes_on:
        why = f"events before {start.seq + 1} are missing, and no checkpoint accounts for them"
        return Verified(count, start, last, why, start.seq + 1)
    known[start.seq] = start.hash
    if pinned is not None:
        problem = _unpinned(pinned, known, start, last)
        if problem:
            return Verified(count, start, last, *problem)
    why = _contradiction(conn, told, whole=start.seq == 0)
    return Verified(count, start, last, why)


def _rows(conn: Connection) -> Iterator[Any]:
    return iter(conn.execution_options(yield_per=1000).execute(_ALL))


def _misfit(row: Any, last: Head) -> tuple[str, int] | None:
    """Say why an event does not fit the one before, and which it is."""
    if row.seq != last.seq + 1:
        return f"event {last.seq + 1} is missing", last.seq + 1
    if seal(row._asdict()) != row.hash:
        return f"event {row.seq} was altered: its hash is not that of what it says", row.seq
    if row.previous != last.hash:
        return f"event {row.seq} does not follow the event {last.seq} that is there", row.seq
    return None


def _unpinned(
    pinned: Head, known: Mapping[int, str], start: Head, last: Head
) -> tuple[str, int] | None:
    """Say why the chain is not the one that a head was taken of."""
    if pinned.seq > last.seq:
        why = f"event {pinned.seq} was there and is missing: the chain ends at {last.seq}"
        return why, last.seq + 1
    if pinned.seq < start.seq:
        why = f"event {pinned.seq} was pruned: compare with a later head, from {start.seq} on"
        return why, pinned.seq
    if known[pinned.seq] != pinned.hash:
        why = f"event {pinned.seq} is not the one that was pinned: the chain was written anew"
        return why, pinned.seq
    return None


def _contradiction(conn: Connection, told: _Told, *, whole: bool) -> str:
    """Say which request's row is not what the events tell; whole: no event was pruned."""
    rows = conn.execution_options(yield_per=500).execute(select(requests).order_by(requests.c.id))
    for row in rows:
        asked = told.asked.get(row.id)
        if asked is None:
            if row.state == RequestState.REFUSED and not row.body:
                continue  # of who may ask for nothing, one a day is told
            if whole or row.accepted > told.since:
                return f"request {row.id} is in the journal, but no event tells who asked for it"
            continue
        who = (row.writer, row.on_behalf_of, row.uid)
        if asked != (row.name, *who, row.action, row.subject, row.digest):
            return f"request {row.id} was altered: its event says {asked}"
        kept = (
            row.body or row.state != RequestState.REFUSED
        )  # no body is kept of who may ask for nothing
        if row.digest and kept and hashlib.sha256(row.body).hexdigest() != row.digest:
            return f"request {row.id} was altered: its content is not what was accepted"
        if row.state in ENDED and told.outcomes.get(row.id) != row.state:
            said = told.outcomes.get(row.id, "no outcome")
            return f"request {row.id} was altered: it is {row.state}, its events say {said}"
    return ""


# Telling.


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a trail. sound: it says what was written."""

    seq: int
    at: float
    request: str | None
    kind: str
    text: str
    subject: str | None
    facts: Mapping[str, Any]
    sound: bool


def trail(
    conn: Connection,
    *,
    ids: Iterable[str] | None = None,
    subject: str = "",
    since: float | None = None,
    until: float | None = None,
) -> Iterator[Entry]:
    """Tell events in their order: of some requests, about a subject, of a time, or all.

    About a subject are the requests for it and for what it is a part of; of these, what was done
    for others is left out.
    """
    chosen = _ALL
    if ids is not None:
        chosen = chosen.where(events.c.request.in_(list(ids)))
    if subject:
        about = or_(
            events.c.subject == subject,
            lies_in(events.c.subject, subject),
            _ends_with(events.c.subject, f"/{subject}"),
        )
        concerned = select(events.c.request).where(about)
        chosen = chosen.where(events.c.request.in_(concerned), or_(about, events.c.kind != OBJECT))
    if since is not None:
        chosen = chosen.where(events.c.at >= since)
    if until is not None:
        chosen = chosen.where(events.c.at < until)
    for row in conn.execution_options(yield_per=1000).execute(chosen):
        yield Entry(
            row.seq,
            row.at,
            row.request,
            row.kind,
            row.text,
            row.subject,
            _facts(row.facts),
            seal(row._asdict()) == row.hash,
        )


def _ends_with(column: ColumnElement[str | None], end: str) -> ColumnElement[bool]:
    """Match texts by their end; LIKE would not tell `user:Jdoe` from `user:jdoe`."""
    return func.substr(column, func.length(column) - len(end) + 1) == end


def _facts(text: str | None) -> Mapping[str, Any]:
    """Read what an event says for programs; nothing where somebody made it unreadable."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
