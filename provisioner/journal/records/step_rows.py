"""Steps of requests, and the objects of each, as the journal has them.

Promises: everything is read and written inside the caller's transaction. Leaves out: deciding which
step is due (`steps`), and objects by themselves (`object_rows`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
)

from provisioner.contract import Key
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, cut, upsert
from provisioner.journal.schema import (
    DUE,
    OF_USERS,
    WAITING,
    objects,
    requests,
    step_objects,
    steps,
)
from provisioner.objects.errors import Error
from provisioner.objects.states import StepState
from provisioner.plain.values import value
from provisioner.system.ulid import RequestId


@value(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A step and its objects as the journal has them."""

    request: RequestId
    name: str
    instance: str
    needs: tuple[str, ...] = ()
    routed: bool = True
    state: StepState
    started: float | None = None
    ended: float | None = None
    error: Error | None = None
    objects: tuple[ObjectRecord, ...] = ()
    withdraws: bool = False


@value(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """One object's part in a step."""

    key: str
    item: str
    state: StepState
    changed: tuple[str, ...] = ()
    error: Error | None = None
    read_back: dict[str, Any] | None = None
    claimant: str = ""


Outlines = Mapping[RequestId, Sequence[StepRecord]]
"""The steps of requests, without their objects."""

Parts = dict[tuple[RequestId, str], list[ObjectRecord]]
"""Objects by request and step."""

PARTS = 20_000
"""The objects of requests that are read, or deleted, at once: a request can have ten thousand users
with several objects each."""

# Statements of the hot path are built once: building one takes longer than running it in SQLite.
_INSERT_STEPS = insert(steps)


def _size(request: Column[Any]) -> Any:
    """Return an expression that counts the objects of a request, up to a number."""
    some: Any = select(literal_column("1")).where(step_objects.c.request == request)
    first = some.limit(bindparam("b_most")).correlate(request.table).subquery()
    return select(func.count()).select_from(first).scalar_subquery()


_SIZES = select(requests.c.id, _size(requests.c.id)).where(requests.c.id.in_(IDS))

_GENERATION = select(objects.c.generation).where(objects.c.key == bindparam("b_key"))

_NEW_OBJECTS = upsert(step_objects).values(
    generation=case((bindparam("b_state") == StepState.DUE, _GENERATION.scalar_subquery()))
)

_INSERT_OBJECTS = _NEW_OBJECTS.on_conflict_do_update(
    index_elements=["request", "step", "key", "item"],
    set_={
        name: _NEW_OBJECTS.excluded[name] for name in ("claimant", "state", "changed", "generation")
    },
)

_STEPS_OF = select(steps).where(steps.c.request.in_(IDS)).order_by(steps.c.ordinal)

_OBJECTS = select(
    step_objects.c.request,
    step_objects.c.step,
    step_objects.c.key,
    step_objects.c.item,
    step_objects.c.state,
    step_objects.c.changed,
    step_objects.c.error,
    step_objects.c.read_back,
    step_objects.c.claimant,
).order_by(step_objects.c.key)

_OBJECTS_OF = _OBJECTS.where(step_objects.c.request.in_(IDS))

_OBJECTS_OF_SOME = _OBJECTS_OF.where(step_objects.c.step.in_(bindparam("b_names", expanding=True)))

_STANDINGS_OF = (
    select(
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.key,
        step_objects.c.item,
        step_objects.c.state,
        step_objects.c.claimant,
    )
    .where(step_objects.c.request.in_(IDS))
    .order_by(step_objects.c.key)
)

_STANDINGS_OF_USERS = _STANDINGS_OF.where(
    OF_USERS, step_objects.c.item.in_(bindparam("b_users", expanding=True))
)

_STANDINGS_OF_NOBODY = _STANDINGS_OF.where(
    step_objects.c.step.in_(bindparam("b_names", expanding=True)), step_objects.c.item == ""
)

_OBJECTS_OF_ONE = _OBJECTS.where(
    step_objects.c.request == bindparam("b_request"), step_objects.c.step == bindparam("b_step")
)

_PLACES = select(
    step_objects.c.request, step_objects.c.step, step_objects.c.item, step_objects.c.key
).where(step_objects.c.key.in_(IDS))

_WORD: Any = literal_column(f"'{StepState.DUE}'")
_ARE_DUE = step_objects.c.state.between(_WORD, _WORD)
"""As a range it is found with the keys, and never by reading all that is due."""

_AWAITING = (
    select(
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.key,
        step_objects.c.item,
        step_objects.c.claimant,
        step_objects.c.generation,
        step_objects.c.changed,
        step_objects.c.error,
        steps.c.routed,
        requests.c.action,
    )
    .join(
        steps,
        (steps.c.request == step_objects.c.request) & (steps.c.name == step_objects.c.step),
    )
    .join(requests, requests.c.id == step_objects.c.request)
    .where(step_objects.c.key.in_(IDS), _ARE_DUE)
)

_USERS_WAITING = (
    select(steps.c.request, _size(steps.c.request))
    .where(
        steps.c.request.in_(IDS),
        select(step_objects.c.key)
        .where(step_objects.c.request == steps.c.request, step_objects.c.step == steps.c.name)
        .where(WAITING, step_objects.c.item > "")
        .exists(),
    )
    .distinct()
)


def insert_steps(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add steps."""
    bulk.run(conn, _INSERT_STEPS, rows)


def insert_step_objects(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add objects of steps. Those that are due wait for the object's current generation."""
    bound = [{**row, "b_key": row["key"], "b_state": row["state"]} for row in rows]
    bulk.run(conn, _INSERT_OBJECTS, bound)


def forget_steps(conn: Connection, request: RequestId) -> None:
    """Delete the steps of a request that is about to be accepted again.

    The parts that it has made stay, and belong to the new steps (`history`).
    """
    unmade = step_objects.c.read_back.is_(None)
    conn.execute(delete(step_objects).where(step_objects.c.request == request, unmade))
    conn.execute(delete(steps).where(steps.c.request == request))


def outlines_of(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, list[StepRecord]]:
    """Load the steps of requests in the route's order, without their objects."""
    outlines: dict[RequestId, list[StepRecord]] = {request: [] for request in ids}
    for row in bulk.among(conn, _STEPS_OF, ids):
        request, name, _, instance, needs, routed, state, started, ended, error, withdraws = row
        outlines[request].append(
            StepRecord(
                request=request,
                name=name,
                instance=instance,
                needs=tuple(needs),
                routed=routed,
                state=state,
                started=started,
                ended=ended,
                error=error,
                withdraws=withdraws,
            )
        )
    return outlines


def steps_of(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, list[StepRecord]]:
    """Load the steps of requests in the route's order, with their objects."""
    return filled(conn, outlines_of(conn, ids))


def light(conn: Connection, ids: Collection[RequestId]) -> list[list[RequestId]]:
    """Cut requests into portions with at most `PARTS` objects, unless one alone has more."""
    parts = sizes(conn, ids, PARTS) if len(ids) > 1 else {}
    return list(cut(ids, lambda request: parts.get(request, 0), PARTS))


def sizes(conn: Connection, ids: Collection[RequestId], most: int) -> dict[RequestId, int]:
    """Count the objects of requests, of each until there are `most`: so many are read at most."""
    return dict(bulk.among(conn, _SIZES, ids, b_most=most))


def filled(conn: Connection, outlines: Outlines) -> dict[RequestId, list[StepRecord]]:
    """Load the objects of requests' steps, and return these with them."""
    parts: Parts = {}
    for row in bulk.among(conn, _OBJECTS_OF, outlines):
        parts.setdefault((row[0], row[1]), []).append(_object(row))
    return _with(outlines, parts)


def standings_of(conn: Connection, ids: Collection[RequestId]) -> dict[RequestId, list[StepRecord]]:
    """Load the steps of requests and the states of their objects, without results or errors.

    An allocation with thousands of users is read again each time that some of them progress.
    """
    return standing(conn, outlines_of(conn, ids))


def standing(conn: Connection, outlines: Outlines) -> dict[RequestId, list[StepRecord]]:
    """Load the states of the objects of requests' steps, and return these with them."""
    return _with(outlines, _standings(bulk.among(conn, _STANDINGS_OF, outlines)))


def standing_for(
    conn: Connection, request: RequestId, listed: Sequence[StepRecord], users: Collection[str]
) -> list[StepRecord]:
    """Load the states of some users' objects of a request's steps, and of those of nobody."""
    rows: list[Any] = []
    for some in chunks(users):
        rows += bulk.rows(conn, _STANDINGS_OF_USERS, {IDS.key: [request], "b_users": some})
    others = sorted({step.name for step in listed} - {row.step for row in rows})
    if others:
        rows += bulk.rows(conn, _STANDINGS_OF_NOBODY, {IDS.key: [request], "b_names": others})
    return _with({request: listed}, _standings(rows))[request]


def whole(conn: Connection, step: StepRecord) -> StepRecord:
    """Load the objects of one step."""
    parameters = {"b_request": step.request, "b_step": step.name}
    rows = conn.execute(_OBJECTS_OF_ONE, parameters).all()
    return replace(step, objects=tuple(map(_object, rows)))


def wholes(conn: Connection, some: Sequence[StepRecord]) -> list[StepRecord]:
    """Load the objects of some steps of several requests."""
    parts: dict[tuple[RequestId, str], list[ObjectRecord]] = {}
    names = sorted({step.name for step in some})
    for ids in chunks({step.request for step in some}):
        rows = conn.execute(_OBJECTS_OF_SOME, {"b_ids": ids, "b_names": names}).all()
        for row in rows:
            parts.setdefault((row.request, row.step), []).append(_object(row))
    return [replace(step, objects=tuple(parts.get((step.request, step.name), ()))) for step in some]


def places(conn: Connection, keys: Collection[str]) -> list[Any]:
    """List where objects are parts of steps: request, step, item and key of each."""
    return bulk.among(conn, _PLACES, keys)


def awaiting(conn: Connection, keys: Collection[Key]) -> list[Any]:
    """List the parts of steps that wait for objects.

    Each has request, step, key, item, claimant, generation, changed, error, routed, and the
    request's action.
    """
    return bulk.among(conn, _AWAITING, keys)


def with_users_waiting(
    conn: Connection, ids: Collection[RequestId], most: int
) -> dict[RequestId, int]:
    """Return those of some requests in which a user's part of a step waits.

    With how many objects each has: they are counted until there are `most`.
    """
    return dict(bulk.among(conn, _USERS_WAITING, ids, b_most=most))


def _object(row: Any) -> ObjectRecord:
    _, _, key, item, state, changed, error, read_back, claimant = row
    return ObjectRecord(
        key=key,
        item=item,
        state=state,
        changed=tuple(changed),
        error=error,
        read_back=read_back,
        claimant=claimant,
    )


def _standings(rows: Sequence[Any]) -> Parts:
    parts: Parts = {}
    for request, step, key, item, state, claimant in rows:
        record = ObjectRecord(key=key, item=item, state=state, claimant=claimant)
        parts.setdefault((request, step), []).append(record)
    return parts


def _with(outlines: Outlines, parts: Parts) -> dict[RequestId, list[StepRecord]]:
    return {
        request: [
            replace(step, objects=tuple(own)) if (own := parts.get((request, step.name))) else step
            for step in listed
        ]
        for request, listed in outlines.items()
    }


def waiting_for(
    conn: Connection, ids: Collection[RequestId]
) -> dict[RequestId, list[dict[str, Any]]]:
    """Return what open requests wait for: step, object, lane, due time, tries and error of each."""
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
        .where(step_objects.c.request.in_(list(ids)), DUE)
    )
    waits: dict[RequestId, list[dict[str, Any]]] = {request: [] for request in ids}
    for row in rows:
        waits[row.request].append(
            {
                "step": row.step,
                "object": row.key,
                "lane": row.lane,
                "due": row.due,
                "attempts": row.attempts,
                "error": row.error.words() if row.error else None,
            }
        )
    return waits


def claimants_of(listed: Sequence[StepRecord]) -> set[str]:
    """Return for whom steps make something, such as `allocation:42/user:jdoe`."""
    return {part.claimant for step in listed for part in step.objects if not step.withdraws}
