"""Requests: what was asked for, and what happened to them.

Promises: everything is read and written inside the caller's transaction. Leaves out: their steps
(`step_rows`), claims (`ledger`), and objects (`object_rows`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    func,
    insert,
    select,
    update,
)

from provisioner.journal import audit, bulk
from provisioner.journal.dialect import IDS, chunks, folded, unindexed
from provisioner.journal.schema import requests
from provisioner.objects.states import RequestState
from provisioner.plain.values import value
from provisioner.system import ulid
from provisioner.system.ulid import RequestId

# Statements of the hot path are built once: building one takes longer than running it in SQLite.


FIXED = "fixed"
"""What `counts` calls requests that failed or were refused, and that a later one put right."""

UNMATCHED = "unmatched"
"""The outcome of a request that is done and found nothing to do: the kind of its first note."""

POLICY = "the policy"
"""The holder's name when policy holds a request; `for_review` is the fact."""


@value(frozen=True, slots=True, kw_only=True)
class Record:
    """A request as the journal has it. Times in seconds since the epoch."""

    id: RequestId
    name: str
    writer: str
    uid: int
    writer_id: str | None
    order_key: str | None
    order_number: int | None
    action: str
    subject: str
    digest: str
    body: bytes
    state: RequestState
    not_before: float | None
    accepted: float
    ended: float | None
    problems: list[dict[str, Any]] | None
    held_by: str | None = None
    approved_by: str | None = None
    on_behalf_of: str | None = None
    listed: str | None = None
    for_review: bool | None = None
    set_aside: bool | None = None
    duplicate_of: RequestId | None = None
    fixed_by: RequestId | None = None
    replaces: RequestId | None = None
    ends: float | None = None
    ended_by: RequestId | None = None
    spool: str = ""
    follows: RequestId | None = None

    @classmethod
    def from_row(cls, row: Row[Any]) -> Record:
        """Make one from a row of the table, by the names of its columns."""
        # Its mapping would look each column up by itself.
        return cls(**dict(zip(row._fields, row, strict=True)))

    @property
    def outcome(self) -> str:
        """How it ended, in a word: its state, or `unmatched` if it is done and did nothing."""
        return outcome(self.state, self.problems)

    @property
    def asker(self) -> str:
        """Who asks: the writer, and the person for whom it writes."""
        return asker(self.writer, self.on_behalf_of)


_INSERT_REQUESTS = insert(requests)


_END = (
    update(requests)
    .where(requests.c.id == bindparam("b_id"))
    .values(state=bindparam("b_state"), ended=bindparam("b_now"))
)


_NEVER_BEGUN = (RequestState.REFUSED, RequestState.SUPERSEDED, RequestState.SCHEDULED)
_BEGUN: Any = requests.c.state.not_in(_NEVER_BEGUN) & requests.c.duplicate_of.is_(None)


_LOAD = select(requests).where(requests.c.id.in_(IDS))


_IS_FIXED = requests.c.fixed_by.is_not(None)


_COUNT = select(requests.c.state, _IS_FIXED, func.count()).group_by(requests.c.state, _IS_FIXED)


def outcome(state: str, problems: Sequence[Mapping[str, Any]] | None) -> str:
    """Return how a request ended, in a word: its state, or that it did nothing."""
    kinds = [problem.get("kind") for problem in problems or ()]
    return UNMATCHED if state == RequestState.DONE and UNMATCHED in kinds else state


def asker(writer: str, person: str | None) -> str:
    """Return who asks: a writer, and the person for whom it writes."""
    return f"{writer} for {person}" if person is not None else writer


def insert_requests(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Add requests."""
    bulk.run(conn, _INSERT_REQUESTS, records)


def end_requests(
    conn: Connection,
    outcomes: Mapping[RequestId, str],
    now: float,
    *,
    text: str = "",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the outcome of requests: id -> one of ENDED. text, facts: for its event."""
    if outcomes:
        rows = [
            {"b_id": request, "b_state": state, "b_now": now} for request, state in outcomes.items()
        ]
        bulk.run(conn, _END, rows)
        ends = [
            audit.Event(request, state, text, None, facts) for request, state in outcomes.items()
        ]
        audit.append(conn, ends, now)


def older_open(
    conn: Connection, request: RequestId, writer: str, action: str, states: Collection[str]
) -> list[RequestId]:
    """List a writer's earlier requests of one action that are in some states, oldest first."""
    return list(
        conn.scalars(
            select(requests.c.id)
            .where(
                requests.c.state.in_(list(states)),
                requests.c.action == action,
                unindexed(requests.c.writer) == writer,
                requests.c.id < request,
            )
            .order_by(requests.c.id)
        )
    )


def set_state(
    conn: Connection, ids: Collection[RequestId], old: Collection[RequestState], new: RequestState
) -> list[RequestId]:
    """Move requests from some states to another; return those that moved.

    What put them right before no longer counts.
    """
    moved: list[RequestId] = []
    for part in chunks(ids):
        among = select(requests.c.id).where(
            requests.c.id.in_(part), requests.c.state.in_(list(old))
        )
        here = list(conn.scalars(among))
        if here:
            moving = update(requests).where(requests.c.id.in_(here))
            conn.execute(moving.values(state=new, ended=None, fixed_by=None))
        moved += here
    return moved


def defer(conn: Connection, ids: Collection[RequestId]) -> list[RequestId]:
    """Move accepted requests that wait for an object to `deferred`; return those that moved."""
    return set_state(conn, ids, [RequestState.ACCEPTED], RequestState.DEFERRED)


def set_accepted(conn: Connection, request: RequestId, now: float) -> None:
    """Set the time from which a request that waited counts."""
    conn.execute(update(requests).where(requests.c.id == request).values(accepted=now))


def set_problems(
    conn: Connection, request: RequestId, problems: Sequence[Mapping[str, Any]] | None
) -> None:
    """Write what a request's writer should know."""
    conn.execute(update(requests).where(requests.c.id == request).values(problems=problems))


def set_duplicate_of(conn: Connection, request: RequestId, earlier: RequestId | None) -> None:
    """Write which earlier request has the same own id; None if none has."""
    _write(conn, request, duplicate_of=earlier)


def set_fixed_by(conn: Connection, request: RequestId, fixing: RequestId) -> None:
    """Write which request put one right; its own id: its file goes through staging again."""
    _write(conn, request, fixed_by=fixing)


def hold(conn: Connection, request: RequestId, holder: str) -> None:
    """Write who holds a request; a release from policy no longer counts."""
    _write(conn, request, held_by=holder, for_review=None, approved_by=None)


def hold_for_review(conn: Connection, request: RequestId) -> None:
    """Write that policy holds a request until a second person has seen it."""
    _write(conn, request, held_by=POLICY, for_review=True, approved_by=None)


def end_hold(conn: Connection, request: RequestId, approved_by: str | None = None) -> None:
    """Write that nobody holds a request any more. approved_by: who released it from policy."""
    _write(conn, request, held_by=None, for_review=None, approved_by=approved_by)


def end_approval(conn: Connection, request: RequestId) -> None:
    """Write that a release from policy no longer counts."""
    _write(conn, request, approved_by=None)


def _write(conn: Connection, request: RequestId, **values: Any) -> None:
    conn.execute(update(requests).where(requests.c.id == request).values(**values))


def find(conn: Connection, name: str) -> list[Record]:
    """Find requests by id, by the beginning of one, or by their writer's own id; newest last.

    A request that only repeated an own id, and got its answer or its refusal for that, comes before
    the request that has the id.
    """
    matches = (requests.c.id == name) | (requests.c.writer_id == name)
    if len(name) >= 4:
        matches |= requests.c.id.startswith(name.upper(), autoescape=True)
    rows = conn.execute(select(requests).where(matches).order_by(requests.c.id)).all()
    found = [Record.from_row(row) for row in rows]
    return sorted(found, key=lambda record: (record.duplicate_of is None, record.id))


def last_id(conn: Connection) -> RequestId | Literal[""]:
    """Return the highest id of a request; '' if there is none."""
    return conn.scalar(select(func.max(requests.c.id))) or ""


def newest(conn: Connection, name: str, since: str) -> Record | None:
    """Return the newest request whose file had a name. since: the beginning of a ULID."""
    row = conn.execute(
        select(requests)
        .where(requests.c.name == name, requests.c.id >= since)
        .order_by(requests.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Record.from_row(row)


def named(conn: Connection, names: Collection[str], since: str) -> dict[str, Record]:
    """Return the newest request of each file's name. since: the beginning of a ULID."""
    found: list[Record] = []
    for part in chunks(names):
        statement = select(requests).where(requests.c.name.in_(IDS), requests.c.id >= since)
        found += map(Record.from_row, conn.execute(statement, {"b_ids": part}))
    return {record.name: record for record in sorted(found, key=lambda record: record.id)}


Place = tuple[str, float, RequestId]
"""Where a request stands in the order in which they were accepted."""


def order(request: RequestId, accepted: float) -> Place:
    """Return where a request stands: one that waited for its time, or a release, where it began.

    By the time in its id, which never goes back, or that of its acceptance, if that is later.
    """
    return max(request[:10], ulid.first(accepted)[:10]), accepted, request


def newest_of(
    conn: Connection, actions: Collection[str], subjects: Collection[str] | None = None
) -> list[Record]:
    """List the request of each subject with one of some actions that was accepted last, in order.

    subjects: only theirs; None: of all.
    """
    counting = [requests.c.action.in_(list(actions)), _BEGUN]
    columns = requests.c.subject, requests.c.id, requests.c.accepted
    newest: dict[str, Place] = {}
    for part in [None] if subjects is None else chunks(subjects):
        among = [] if part is None else [requests.c.subject.in_(part)]
        for subject, request, accepted in conn.execute(select(*columns).where(*counting, *among)):
            place = order(request, accepted)
            newest[subject] = max(newest.get(subject, place), place)
    loaded = load(conn, [request for *_, request in newest.values()])
    return [loaded[request] for *_, request in sorted(newest.values())]


def newest_about(conn: Connection, subject: str, action: str) -> Record | None:
    """Return the request of a subject with an action that was accepted last; None if there is none.

    One that was cancelled, or is held, does not count.
    """
    counting = _BEGUN & requests.c.state.not_in([RequestState.HELD, RequestState.CANCELLED])
    rows = conn.execute(
        select(requests.c.id, requests.c.accepted).where(
            requests.c.subject == subject, requests.c.action == action, counting
        )
    )
    newest = max((order(*row) for row in rows), default=None)
    return None if newest is None else load(conn, [newest[-1]])[newest[-1]]


def held_for(conn: Connection, writer: str) -> dict[str, RequestId]:
    """Return the newest held request of a writer for each `folded` subject, or inside one."""
    rows = conn.execute(
        select(requests.c.subject, requests.c.id)
        .where(requests.c.state == RequestState.HELD, unindexed(requests.c.writer) == writer)
        .order_by(requests.c.id)
    )
    return {folded(row.subject.partition("/")[0]): row.id for row in rows}


def load(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, Record]:
    """Load requests by id."""
    return {row[0]: Record.from_row(row) for row in bulk.among(conn, _LOAD, ids)}


def states_of(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, RequestState]:
    """Return the states of those requests that are known."""
    states: dict[RequestId, RequestState] = {}
    for part in chunks(ids):
        rows = conn.execute(
            select(requests.c.id, requests.c.state).where(requests.c.id.in_(IDS)), {"b_ids": part}
        )
        states.update({row.id: row.state for row in rows})
    return states


def scheduled_until(conn: Connection, now: float) -> list[tuple[RequestId, int]]:
    """List scheduled requests whose `not_before` has come, in the order in which it came, with
    their writers' uids."""
    statement = (
        select(requests.c.id, requests.c.uid)
        .where(requests.c.state == RequestState.SCHEDULED, requests.c.not_before <= now)
        .order_by(requests.c.not_before, requests.c.id)
    )
    return [(row.id, row.uid) for row in conn.execute(statement)]


def ids_in(
    conn: Connection, states: Collection[str], before: float | None = None
) -> list[RequestId]:
    """List the requests in some states, oldest first. before: only those accepted before a time."""
    among = select(requests.c.id).where(requests.c.state.in_(states)).order_by(requests.c.id)
    if before is not None:
        among = among.where(requests.c.accepted < before)
    return list(conn.scalars(among))


def in_states(conn: Connection, states: Collection[str], limit: int = 1000) -> list[Record]:
    """List requests in some states, oldest first."""
    rows = conn.execute(
        select(requests)
        .where(requests.c.state.in_(list(states)))
        .order_by(requests.c.id)
        .limit(limit)
    )
    return [Record.from_row(row) for row in rows]


def counts(conn: Connection) -> dict[str, int]:
    """Count requests by state. What failed and was put right later counts as FIXED."""
    counted: Counter[str] = Counter()
    for state, is_fixed, number in conn.execute(_COUNT):
        counted[FIXED if is_fixed else state] += number
    return dict(counted)


def all_ids(conn: Connection) -> set[RequestId]:
    """Return the ids of all known requests."""
    return set(conn.scalars(select(requests.c.id)))
