"""The audit trail: a chain of events, each with the hash of the one before.

Promises: an event that somebody altered, removed, inserted or moved no longer fits, and `verify`
names the first one. A head of the chain that was noted elsewhere shows that a tail was cut off or
rewritten. Events alone tell who asked for what, and `verify` compares the requests' rows with them.
Leaves out: when events are pruned (`retention`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select

from provisioner.contract import InvalidRequest
from provisioner.journal import bulk
from provisioner.journal.dialect import lies_in
from provisioner.journal.schema import events, requests
from provisioner.objects.states import ENDED, RequestState
from provisioner.plain import compact
from provisioner.plain.values import value
from provisioner.system.ulid import RequestId

GENESIS = "0" * 64
"""The hash before the first event of all."""

PRUNED = "pruned"
"""The kind of event that says where the chain continues."""

OBJECT = "object"
"""The kind of event that says what became of one object."""


@value(frozen=True, slots=True)
class Event:
    """What happened, to which request and about whom. facts: what programs read of it."""

    request: RequestId | None
    kind: str
    text: str = ""
    subject: str | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The number and hash of an event: they pin it and all events before it."""

    seq: int
    hash: str
    at: float = 0.0

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read SEQ:HASH, as the log prints it."""
        seq, _, digest = text.strip().partition(":")
        if not seq.isascii() or not seq.isdigit() or len(digest) != len(GENESIS):
            raise InvalidRequest(
                f"{text!r} is not a head of the chain", expected="SEQ:HASH, as the log prints it"
            )
        return cls(int(seq), digest.lower())


_SEALED = ("seq", "at", "request", "kind", "text", "subject", "facts", "previous")


def seal(cells: Mapping[str, Any]) -> str:
    """Hash an event in its canonical form: a JSON list, ASCII, without spaces.

    cells: the event's row; its own `hash`, if it has one, is ignored.
    """
    at = float(cells["at"])
    form = compact.written([at if name == "at" else cells[name] for name in _SEALED])
    return hashlib.sha256(form.encode("ascii")).hexdigest()


_HEAD = select(events.c.seq, events.c.hash, events.c.at).order_by(events.c.seq.desc()).limit(1)
_START = select(events.c.seq, events.c.previous).order_by(events.c.seq).limit(1)
_INSERT = insert(events)
_FIRST = (
    select(events.c.facts)
    .where(events.c.request == bindparam("b_request"))
    .order_by(events.c.seq)
    .limit(1)
)
_ALL = select(events).order_by(events.c.seq)


def head(conn: Connection) -> Head:
    """Return the last event; number 0 if there is none."""
    row = next(iter(bulk.rows(conn, _HEAD, {})), None)
    return Head(0, GENESIS) if row is None else Head(*row)


def start(conn: Connection) -> Head:
    """Return the event before the oldest one that is left: where pruning ended."""
    row = conn.execute(_START).first()
    return Head(0, GENESIS) if row is None else Head(row.seq - 1, row.previous)


def append(conn: Connection, added: Sequence[Event], now: float) -> None:
    """Add events to the chain, inside the caller's transaction."""
    if not added:
        return
    last = head(conn)
    seq, previous = last.seq, last.hash
    rows = []
    for event in added:
        seq += 1
        facts = None if event.facts is None else compact.written(event.facts)
        row: dict[str, Any] = {
            "seq": seq,
            "at": now,
            "request": event.request,
            "kind": event.kind,
            "text": event.text,
            "subject": event.subject,
            "facts": facts,
            "previous": previous,
        }
        row["hash"] = seal(row)
        rows.append(row)
        previous = row["hash"]
    bulk.run(conn, _INSERT, rows)


def arrival(
    row: Mapping[str, Any],
    text: str,
    reason: str | None = None,
    behind: Sequence[str] = (),
    *,
    signed: bool = False,
) -> Event:
    """Return the event of a request that arrived: who asks for what, and the digest of its file.

    row: the request's row; behind: names of others who are behind the request; signed: its own
    signature, and not the owner of its file, says who asks.
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
        "signed": signed,
        "reason": reason,
        "problems": [problem["message"] for problem in row.get("problems") or ()],
    }
    facts.update({name: value for name, value in more.items() if value})
    return Event(row["id"], row["state"], text, row["subject"], facts)


def behind(conn: Connection, request: RequestId) -> tuple[str, ...] | None:
    """Return the others who are behind a request; None if its first event was pruned."""
    facts = _facts(conn.scalar(_FIRST, {"b_request": request}))
    return tuple(facts.get("behind", ())) if "asked_by" in facts else None


def follows(conn: Connection, request: RequestId) -> bool:
    """Return True if others are behind a request because it follows from theirs.

    Behind one that is signed is who carried it.
    """
    facts = _facts(conn.scalar(_FIRST, {"b_request": request}))
    return bool(facts.get("behind")) and not facts.get("signed")


def prune(conn: Connection, before: float, limit: int, now: float) -> int:
    """Remove the oldest events, up to the first that is not older than a time; return their number.

    A new event says where the chain continues, so that it still verifies.
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


# Verification.


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a check. problem: '' if all fits; event: the first that does not fit."""

    events: int
    start: Head
    head: Head
    problem: str = ""
    event: int | None = None


@dataclass(slots=True)
class _Account:
    """What the events say of requests, collected along the chain."""

    since: float = 0.0
    arrivals: dict[RequestId, tuple[object, ...]] = field(default_factory=dict)
    outcomes: dict[RequestId, str] = field(default_factory=dict)

    def add(self, row: Any) -> None:
        """Add what an event says."""
        if row.request is None:
            return
        if row.kind in ENDED:
            self.outcomes[row.request] = row.kind
        facts = _facts(row.facts)
        if "sha256" in facts:
            self.arrivals[row.request] = (
                facts.get("file"),
                facts.get("asked_by"),
                facts.get("on_behalf_of"),
                facts.get("uid"),
                facts.get("action"),
                row.subject,
                facts["sha256"],
            )


def verify(conn: Connection, pinned: Head | None = None) -> Verified:
    """Check the chain, and compare it with a pinned head and with the requests' rows."""
    start = last = Head(0, GENESIS)
    known: dict[int, str] = {}
    goes_on: set[tuple[Any, Any]] = set()
    account = _Account()
    count = 0
    for row in _rows(conn):
        if count == 0:
            start = last = Head(row.seq - 1, row.previous)
            account.since = row.at
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
        account.add(row)
    first = (start.seq, start.hash)
    if first != (0, GENESIS) and first not in goes_on:
        why = f"events before {start.seq + 1} are missing, and no checkpoint accounts for them"
        return Verified(count, start, last, why, start.seq + 1)
    known[start.seq] = start.hash
    if pinned is not None:
        problem = _unpinned(pinned, known, start, last)
        if problem:
            return Verified(count, start, last, *problem)
    why = _contradiction(conn, account, whole=start.seq == 0)
    return Verified(count, start, last, why)


def _rows(conn: Connection) -> Iterator[Any]:
    return iter(conn.execute(_ALL, execution_options={"yield_per": 1000}))


def _misfit(row: Any, last: Head) -> tuple[str, int] | None:
    """Return why an event does not fit the one before, and the number of the bad one."""
    if row.seq != last.seq + 1:
        return f"event {last.seq + 1} is missing", last.seq + 1
    if seal(row._asdict()) != row.hash:
        return f"event {row.seq} was altered: its hash does not match its content", row.seq
    if row.previous != last.hash:
        return f"event {row.seq} does not follow event {last.seq}, which is before it", row.seq
    return None


def _unpinned(
    pinned: Head, known: Mapping[int, str], start: Head, last: Head
) -> tuple[str, int] | None:
    """Return why the chain is not the one from which a head was taken."""
    if pinned.seq > last.seq:
        why = f"event {pinned.seq} is missing: the chain ends at {last.seq}"
        return why, last.seq + 1
    if pinned.seq < start.seq:
        why = f"event {pinned.seq} was pruned: compare with a later head, from {start.seq} on"
        return why, pinned.seq
    if known[pinned.seq] != pinned.hash:
        why = f"event {pinned.seq} is not the one that was pinned: the chain was rewritten"
        return why, pinned.seq
    return None


def _contradiction(conn: Connection, account: _Account, *, whole: bool) -> str:
    """Return which request's row differs from its events, as text. whole: no event was pruned."""
    listed = select(requests).order_by(requests.c.id).execution_options(yield_per=500)
    for row in conn.execute(listed):
        # No body is kept of writers without a rule, and one event a day of their requests.
        bodiless = row.state == RequestState.REFUSED and not row.body
        arrived = account.arrivals.get(row.id)
        if arrived is None:
            if not bodiless and (whole or row.accepted > account.since):
                return f"request {row.id} is in the journal, but no event tells who asked for it"
            continue
        asker = (row.writer, row.on_behalf_of, row.uid)
        if arrived != (row.name, *asker, row.action, row.subject, row.digest):
            return f"request {row.id} was altered: its event says {arrived}"
        if row.digest and not bodiless and hashlib.sha256(row.body).hexdigest() != row.digest:
            return f"request {row.id} was altered: its content is not what was accepted"
        if row.state in ENDED and account.outcomes.get(row.id) != row.state:
            outcome = account.outcomes.get(row.id, "no outcome")
            return f"request {row.id} was altered: it is {row.state}, its events say {outcome}"
    return ""


# Reading.


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a trail. sound: its hash matches its content."""

    seq: int
    at: float
    request: RequestId | None
    kind: str
    text: str
    subject: str | None
    facts: Mapping[str, Any]
    sound: bool


def trail(
    conn: Connection,
    *,
    ids: Iterable[RequestId] | None = None,
    subject: str = "",
    since: float | None = None,
    until: float | None = None,
) -> Iterator[Entry]:
    """Return events in their order: of some requests, about a subject, of a time, or all.

    With a subject these are the requests for it and for the subjects that contain it, without what
    these did for others.
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
    for row in conn.execute(chosen, execution_options={"yield_per": 1000}):
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
    """Match texts by their end; LIKE would not distinguish `user:Jdoe` from `user:jdoe`."""
    return func.substr(column, func.length(column) - len(end) + 1) == end


def _facts(text: str | None) -> Mapping[str, Any]:
    """Read what an event says for programs; empty if somebody made it unreadable."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
