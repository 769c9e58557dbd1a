"""Records: requests, their steps, what happened to them, and what is known of lanes.

Promises: everything is read and written inside the caller's transaction. Leaves out: claims
(`ledger`), objects (`agenda`), and deciding which step is due (`steps`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from provisioner import audit, many
from provisioner.tables import (
    IDS,
    chunks,
    companions,
    events,
    lanes,
    objects,
    requests,
    step_objects,
    steps,
)

# Statements of the hot path are built once: building one costs more than SQLite takes for it.


OPEN = ("accepted", "deferred", "held", "scheduled")
"""States of a request that has no outcome yet."""


POLICY = "the policy"
"""Holds what a second person has to see; no user has a name with a space."""


ENDED = ("done", "failed", "refused", "cancelled", "superseded")


@dataclass(frozen=True, slots=True)
class Record:
    """A request as the journal knows it. Times in seconds since the epoch."""

    id: str
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
    state: str
    not_before: float | None
    accepted: float
    ended: float | None
    problems: list[dict[str, Any]] | None
    held_by: str | None = None
    approved_by: str | None = None
    on_behalf_of: str | None = None

    @property
    def asker(self) -> str:
        """Name who asks: the writer, and the person for whom it writes."""
        return asker(self.writer, self.on_behalf_of)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step and its objects as the journal knows them."""

    request: str
    name: str
    instance: str
    needs: tuple[str, ...]
    routed: bool
    state: str
    started: float | None
    ended: float | None
    error: dict[str, str] | None
    objects: tuple[ObjectRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One object's part in a step."""

    key: str
    item: str
    state: str
    changed: tuple[str, ...]
    error: dict[str, str] | None
    read_back: dict[str, Any] | None
    claimant: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What a request that comes again is compared with."""

    id: str
    state: str
    digest: str


_INSERT_REQUESTS = insert(requests)


_INSERT_STEPS = insert(steps)


_GENERATION = select(objects.c.generation).where(objects.c.key == bindparam("b_key"))


_INSERT_OBJECTS = insert(step_objects).values(
    generation=case((bindparam("b_state") == "due", _GENERATION.scalar_subquery()))
)


_END = (
    update(requests)
    .where(requests.c.id == bindparam("b_id"))
    .values(state=bindparam("b_state"), ended=bindparam("b_now"))
)


_LOAD = select(requests).where(requests.c.id.in_(IDS))


_EARLIER = (
    select(
        requests.c.id,
        requests.c.state,
        requests.c.digest,
        requests.c.writer,
        requests.c.writer_id,
        requests.c.problems,
    )
    .where(requests.c.writer_id.in_(IDS))
    .order_by(requests.c.id)
)


_STEPS_OF = select(steps).where(steps.c.request.in_(IDS)).order_by(steps.c.ordinal)


_OBJECTS_OF = (
    select(
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.changed,
        step_objects.c.key,
        step_objects.c.item,
        step_objects.c.state,
        step_objects.c.error,
        step_objects.c.read_back,
        step_objects.c.claimant,
    )
    .where(step_objects.c.request.in_(IDS))
    .order_by(step_objects.c.key)
)


def asker(writer: str, person: str | None) -> str:
    """Name who asks: a writer, and the person for whom it writes."""
    return f"{writer} for {person}" if person is not None else writer


def insert_requests(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Add requests."""
    many.run(conn, _INSERT_REQUESTS, records)


def insert_steps(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add steps."""
    many.run(conn, _INSERT_STEPS, rows)


def insert_step_objects(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add objects of steps; those that are due wait for the generation that the object now has."""
    bound = [{**row, "b_key": row["key"], "b_state": row["state"]} for row in rows]
    many.run(conn, _INSERT_OBJECTS, bound)


def end_requests(
    conn: Connection,
    outcomes: Mapping[str, str],
    now: float,
    *,
    text: str = "",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the outcome of requests: id -> one of ENDED. text, facts: for its event."""
    if outcomes:
        rows = [{"b_id": who, "b_state": is_, "b_now": now} for who, is_ in outcomes.items()]
        many.run(conn, _END, rows)
        told = [audit.Event(who, state, text, None, facts) for who, state in outcomes.items()]
        audit.append(conn, told, now)


def set_state(conn: Connection, ids: Collection[str], old: Collection[str], new: str) -> list[str]:
    """Move requests from some states to another; return those that moved."""
    moved = list(
        conn.scalars(
            select(requests.c.id).where(
                requests.c.id.in_(list(ids)), requests.c.state.in_(list(old))
            )
        )
    )
    if moved:
        conn.execute(update(requests).where(requests.c.id.in_(moved)).values(state=new, ended=None))
    return moved


def set_problems(
    conn: Connection, request: str, problems: Sequence[Mapping[str, Any]] | None
) -> None:
    """Keep what a request's writer should know."""
    conn.execute(update(requests).where(requests.c.id == request).values(problems=problems))


def keep_companion(conn: Connection, request: str, body: bytes) -> None:
    """Keep the manifest of a request that waits."""
    drop_companion(conn, request)
    conn.execute(insert(companions), {"request": request, "body": body})


def companion(conn: Connection, request: str) -> bytes | None:
    """Return the manifest that was kept of a request."""
    return conn.scalar(select(companions.c.body).where(companions.c.request == request))


def drop_companion(conn: Connection, request: str) -> None:
    """Forget a manifest."""
    conn.execute(delete(companions).where(companions.c.request == request))


def set_hold(conn: Connection, request: str, **values: str | None) -> None:
    """Keep who holds a request (`held_by`), or released what policy held (`approved_by`)."""
    conn.execute(update(requests).where(requests.c.id == request).values(**values))


def note(conn: Connection, rows: Sequence[tuple[str | None, str, str]], now: float) -> None:
    """Add events: (request, kind, text)."""
    audit.append(conn, [audit.Event(*row) for row in rows], now)


def events_of(conn: Connection, request: str) -> list[tuple[float, str, str]]:
    """List a request's events: (time, kind, text)."""
    rows = conn.execute(
        select(events.c.at, events.c.kind, events.c.text)
        .where(events.c.request == request)
        .order_by(events.c.seq)
    )
    return [(row.at, row.kind, row.text) for row in rows]


def why_held(conn: Connection, ids: Collection[str]) -> dict[str, str]:
    """Say of held requests who or what held them last, and why."""
    found: dict[str, str] = {}
    for part in chunks(ids):
        rows = conn.execute(
            select(events.c.request, events.c.text)
            .where(events.c.request.in_(part), events.c.kind == "held")
            .order_by(events.c.seq)
        )
        found.update({row.request: row.text for row in rows})
    return found


def find(conn: Connection, name: str) -> list[Record]:
    """Find requests by id, by the beginning of one, or by their writer's own id; newest last.

    What only repeats an own id, and was answered or refused for it, stands before the request that
    has it.
    """
    matches = (requests.c.id == name) | (requests.c.writer_id == name)
    if len(name) >= 4:
        matches |= requests.c.id.startswith(name.upper(), autoescape=True)
    rows = conn.execute(select(requests).where(matches).order_by(requests.c.id)).all()
    found = [Record(*row) for row in rows]
    return sorted(found, key=lambda record: (not repeats(record.problems), record.id))


def repeats(problems: Collection[Mapping[str, Any]] | None) -> bool:
    """Say whether a request came under an own id that another one had, by what it was told."""
    return any(one.get("key") == "id" and one.get("line") is None for one in problems or ())


def events_after(conn: Connection, seq: int) -> list[tuple[int, str, str, str]]:
    """List what happened to requests after an event: (number, request, kind, text)."""
    rows = conn.execute(
        select(events.c.seq, events.c.request, events.c.kind, events.c.text)
        .where(events.c.seq > seq, events.c.request.is_not(None))
        .order_by(events.c.seq)
    )
    return [(row.seq, row.request, row.kind, row.text) for row in rows]


def last_event(conn: Connection) -> int:
    """Return the number of the last event; 0 where there is none."""
    return int(conn.scalar(select(func.max(events.c.seq))) or 0)


def newest(conn: Connection, name: str, since: str) -> Record | None:
    """Return the newest request whose file bore a name; since: the beginning of a ULID."""
    row = conn.execute(
        select(requests)
        .where(requests.c.name == name, requests.c.id >= since)
        .order_by(requests.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Record(*row)


def newest_of(conn: Connection, actions: Collection[str]) -> list[Record]:
    """List the newest request of each subject that was accepted with one of some actions.

    Oldest first.
    """
    ids = (
        select(func.max(requests.c.id))
        .where(
            requests.c.action.in_(list(actions)),
            requests.c.state.not_in(["refused", "superseded", "scheduled"]),
        )
        .group_by(requests.c.subject)
    )
    rows = conn.execute(select(requests).where(requests.c.id.in_(ids)).order_by(requests.c.id))
    return [Record(*row) for row in rows]


def newer(conn: Connection, record: Record, actions: Collection[str]) -> str:
    """Name the newest request accepted after one, for its subject or what lies in or around it.

    actions: those that count. '' where there is none.
    """
    root, slash, _ = record.subject.partition("/")
    within = requests.c.subject.startswith(root + "/", autoescape=True)
    about = [requests.c.subject == root, requests.c.subject == record.subject if slash else within]
    return (
        conn.scalar(
            select(func.max(requests.c.id)).where(
                or_(*about),
                requests.c.id > record.id,
                requests.c.action.in_(list(actions)),
                requests.c.state.in_(["accepted", "deferred", "done", "failed"]),
            )
        )
        or ""
    )


def forget_steps(conn: Connection, request: str) -> None:
    """Drop the steps of a request that is going to be accepted anew."""
    conn.execute(delete(step_objects).where(step_objects.c.request == request))
    conn.execute(delete(steps).where(steps.c.request == request))


def load(conn: Connection, ids: Collection[str]) -> dict[str, Record]:
    """Load requests by id."""
    found: dict[str, Record] = {}
    for part in chunks(ids):
        found.update({row[0]: Record(*row) for row in conn.execute(_LOAD, {"b_ids": part}).all()})
    return found


def states_of(conn: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the states of those requests that are known."""
    found: dict[str, str] = {}
    for part in chunks(ids):
        rows = conn.execute(
            select(requests.c.id, requests.c.state).where(requests.c.id.in_(IDS)), {"b_ids": part}
        )
        found.update({row[0]: row[1] for row in rows})
    return found


def noted(conn: Connection, ids: Collection[str], kind: str) -> list[str]:
    """Return those requests that have an event of a kind, oldest first."""
    statement = select(events.c.request).where(events.c.request.in_(IDS), events.c.kind == kind)
    found = {who for part in chunks(ids) for who in conn.scalars(statement, {"b_ids": part})}
    return sorted(found)


def lately(conn: Connection, seconds: float, most: int) -> list[str]:
    """List requests of which the events of so many seconds before the newest one tell.

    most: events that are looked at.
    """
    newest = select(func.max(events.c.seq)).scalar_subquery()
    end = select(events.c.at).where(events.c.seq == newest).scalar_subquery()
    statement = (
        select(events.c.request)
        .where(events.c.seq > newest - most, events.c.at >= end - seconds)
        .where(events.c.request.is_not(None))
        .distinct()
    )
    return sorted(conn.scalars(statement))


def scheduled_until(conn: Connection, now: float) -> list[str]:
    """List scheduled requests whose `not_before` has come, oldest first."""
    return list(
        conn.scalars(
            select(requests.c.id)
            .where(requests.c.state == "scheduled", requests.c.not_before <= now)
            .order_by(requests.c.id)
        )
    )


def ids_in(conn: Connection, states: Collection[str]) -> list[str]:
    """List the requests in some states."""
    return list(conn.scalars(select(requests.c.id).where(requests.c.state.in_(states))))


def in_states(conn: Connection, states: Collection[str], limit: int = 1000) -> list[Record]:
    """List requests in some states, oldest first."""
    rows = conn.execute(
        select(requests)
        .where(requests.c.state.in_(list(states)))
        .order_by(requests.c.id)
        .limit(limit)
    )
    return [Record(*row) for row in rows]


def counts(conn: Connection) -> dict[str, int]:
    """Count requests by state."""
    rows = conn.execute(select(requests.c.state, func.count()).group_by(requests.c.state))
    return {row[0]: row[1] for row in rows}


def earlier(conn: Connection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the newest request that each (writer, writer's id) names, and no repetition of it."""
    wanted = set(names)
    found: dict[tuple[str, str], Known] = {}
    for part in chunks({writer_id for _, writer_id in wanted}):
        rows = conn.execute(_EARLIER, {"b_ids": part})
        for who, state, digest, writer, writer_id, problems in rows:
            if (writer, writer_id) in wanted and not repeats(problems):
                found[writer, writer_id] = Known(who, state, digest)
    return found


def taken(conn: Connection, bodies: Collection[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Return the first request of each (writer, digest) that was not refused."""
    wanted = set(bodies)
    found: dict[tuple[str, str], Known] = {}
    for part in chunks({digest for _, digest in wanted}):
        rows = conn.execute(
            select(requests.c.id, requests.c.state, requests.c.digest, requests.c.writer)
            .where(requests.c.digest.in_(part), requests.c.state != "refused")
            .order_by(requests.c.id)
        )
        for who, state, digest, writer in rows:
            found.setdefault((writer, digest), Known(who, state, digest))
    return {body: one for body, one in found.items() if body in wanted}


def highest_orders(
    conn: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the highest order number accepted under each (writer, key)."""
    wanted = set(names)
    found: dict[tuple[str, str], int] = {}
    for part in chunks({key for _, key in wanted}):
        rows = conn.execute(
            select(requests.c.writer, requests.c.order_key, func.max(requests.c.order_number))
            .where(requests.c.order_key.in_(part), requests.c.state != "refused")
            .group_by(requests.c.writer, requests.c.order_key)
        )
        found.update({(writer, key): number for writer, key, number in rows})
    return {name: number for name, number in found.items() if name in wanted}


def steps_of(conn: Connection, ids: Collection[str]) -> dict[str, list[StepRecord]]:
    """Load the steps of requests, with their objects, in the route's order."""
    parts: dict[tuple[str, str], list[ObjectRecord]] = {}
    found: dict[str, list[StepRecord]] = {who: [] for who in ids}
    for some in chunks(ids):
        for who, step, changed, *more in conn.execute(_OBJECTS_OF, {"b_ids": some}).all():
            key, item, state, error, read_back, claimant = more
            parts.setdefault((who, step), []).append(
                ObjectRecord(key, item, state, tuple(changed), error, read_back, claimant)
            )
        for row in conn.execute(_STEPS_OF, {"b_ids": some}).all():
            found[row.request].append(
                StepRecord(
                    row.request,
                    row.name,
                    row.instance,
                    tuple(row.needs),
                    row.routed,
                    row.state,
                    row.started,
                    row.ended,
                    row.error,
                    tuple(parts.get((row.request, row.name), ())),
                )
            )
    return found


def waiting_for(conn: Connection, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Say what open requests wait for: key, state, error and when it is due, for each object."""
    rows = conn.execute(
        select(
            step_objects.c.request,
            step_objects.c.step,
            step_objects.c.key,
            objects.c.due,
            objects.c.attempts,
            objects.c.error,
            objects.c.lane,
        )
        .join(objects, objects.c.key == step_objects.c.key)
        .where(step_objects.c.request.in_(list(ids)), step_objects.c.state == "due")
    )
    found: dict[str, list[dict[str, Any]]] = {who: [] for who in ids}
    for row in rows:
        found[row.request].append(
            {
                "step": row.step,
                "object": row.key,
                "lane": row.lane,
                "due": row.due,
                "attempts": row.attempts,
                "error": row.error,
            }
        )
    return found


def lane_rows(conn: Connection) -> dict[str, dict[str, Any]]:
    """Return what is recorded of lanes: who paused them, and their breakers."""
    return {row.name: dict(row._mapping) for row in conn.execute(select(lanes))}


def due_counts(conn: Connection, now: float) -> dict[str, tuple[int, int]]:
    """Count each lane's objects: (due now, due later)."""
    rows = conn.execute(
        select(
            objects.c.lane,
            func.sum(case((objects.c.due <= now, 1), else_=0)),
            func.sum(case((objects.c.due > now, 1), else_=0)),
        )
        .where(objects.c.due.is_not(None))
        .group_by(objects.c.lane)
    )
    return {lane: (int(ready or 0), int(later or 0)) for lane, ready, later in rows}


def set_lane(conn: Connection, name: str, **values: object) -> None:
    """Record something of a lane (`paused_by`, `breaker_until`, `breaker_reason`)."""
    if conn.execute(update(lanes).where(lanes.c.name == name).values(**values)).rowcount == 0:
        conn.execute(insert(lanes), {"name": name, **values})
