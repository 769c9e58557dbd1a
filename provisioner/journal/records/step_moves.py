"""Step moves: how steps and the objects in them go from one state to another.

Promises: everything is written inside the caller's transaction. No other module changes these
states, except `step_rows`, which may write an existing part again. Leaves out: deciding which step
moves (`advance`, `settling`, `interventions`, `undo`), adding steps and reading them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, or_, select, update

from provisioner.contract import Key
from provisioner.journal import audit, bulk
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.schema import (
    DUE,
    UNENDED,
    WAITING,
    in_state,
    objects,
    requests,
    step_objects,
    steps,
)
from provisioner.objects.errors import Error
from provisioner.objects.states import OVER, RUNNING, StepState
from provisioner.system.ulid import RequestId

# Statements of the hot path are built once: building one takes longer than running it in SQLite.

_OBJECT = select(step_objects.c.key).where(
    step_objects.c.request == steps.c.request, step_objects.c.step == steps.c.name
)

_THE_STEP = update(steps).where(
    steps.c.request == bindparam("b_request"), steps.c.name == bindparam("b_name")
)

_START_STEP = _THE_STEP.values(
    state=bindparam("b_state"), error=bindparam("b_error"), started=bindparam("b_now")
)

_CLOSE = _THE_STEP.where(
    steps.c.state == StepState.DUE,
    ~_OBJECT.where(DUE).exists(),
    ~_OBJECT.where(WAITING).exists(),
).values(
    state=case(
        (_OBJECT.where(in_state(StepState.FAILED)).exists(), StepState.FAILED),
        (_OBJECT.where(in_state(StepState.SKIPPED)).exists(), StepState.SKIPPED),
        else_=StepState.DONE,
    ),
    ended=bindparam("b_now"),
)

_END_STEP = _THE_STEP.values(
    state=bindparam("b_state"), error=bindparam("b_error"), ended=bindparam("b_now")
)

_GENERATION = (
    select(objects.c.generation).where(objects.c.key == step_objects.c.key).scalar_subquery()
)

_MOVE_WAITING = (
    update(step_objects)
    .where(
        step_objects.c.request == bindparam("b_request"),
        step_objects.c.step == bindparam("b_step"),
        WAITING,
    )
    .values(
        state=bindparam("b_state"),
        error=bindparam("b_error"),
        generation=case((bindparam("b_state") == StepState.DUE, _GENERATION)),
    )
)

_MOVE_WAITING_OF_ONE = _MOVE_WAITING.where(step_objects.c.item == bindparam("b_item"))

_MOVE_WAITING_OF_SOME = _MOVE_WAITING.where(step_objects.c.item.in_(IDS))

_READ_BACK: Any = bindparam("b_read_back", type_=step_objects.c.read_back.type)

_UPDATE_OBJECT = (
    update(step_objects)
    .where(
        step_objects.c.request == bindparam("b_request"),
        step_objects.c.step == bindparam("b_step"),
        step_objects.c.key == bindparam("b_key"),
        step_objects.c.item == bindparam("b_item"),
    )
    .values(
        state=bindparam("b_state"),
        changed=bindparam("b_changed"),
        error=bindparam("b_error"),
        # An object that was made once stays made, even if a later look finds it not ready.
        read_back=func.coalesce(_READ_BACK, step_objects.c.read_back),
    )
)

_STAMP = (
    update(step_objects)
    .where(
        step_objects.c.request == bindparam("b_request"),
        DUE,
        step_objects.c.generation.is_(None),
    )
    .values(generation=_GENERATION)
)

_CLOSE_HOLLOW = (
    update(steps)
    .where(steps.c.request.in_(IDS), steps.c.state == StepState.DUE, ~_OBJECT.exists())
    .values(state=StepState.DONE, ended=bindparam("b_now"))
)

_UNMADE = update(step_objects).where(
    step_objects.c.request == bindparam("b_request"),
    step_objects.c.key == bindparam("b_key"),
    step_objects.c.claimant == bindparam("b_claimant"),
    step_objects.c.read_back.is_(None),
)

_BEGIN_AGAIN = _UNMADE.values(state=StepState.WAITING, generation=None, error=None)

_OPEN = (
    select(requests.c.id)
    .where(requests.c.id == bindparam("b_request"))
    .where(or_(*(requests.c.state == state for state in RUNNING)))
    .exists()
)

_AGAIN = _UNMADE.where(in_state(StepState.DONE), _OPEN).values(state=StepState.DUE, generation=None)

_PARTS_OF = select(step_objects.c.request, step_objects.c.key).where(step_objects.c.key.in_(IDS))

_LOOK_AGAIN = (
    update(step_objects)
    .where(
        step_objects.c.request == bindparam("b_request"),
        step_objects.c.key == bindparam("b_key"),
        or_(in_state(StepState.DONE), DUE),
        _OPEN,
    )
    .values(state=StepState.DUE, generation=None)
)

_AGAIN_STEP = (
    update(steps)
    .where(
        steps.c.request == bindparam("b_request"),
        steps.c.state == StepState.DONE,
        _OBJECT.where(DUE).exists(),
    )
    .values(state=StepState.DUE, ended=None)
)


def close_steps(conn: Connection, some: Iterable[tuple[RequestId, str]], now: float) -> None:
    """End those of some steps, by request and name, that are due and whose objects are all over."""
    steps = dict.fromkeys(some)
    rows = [{"b_request": request, "b_name": name, "b_now": now} for request, name in steps]
    bulk.run(conn, _CLOSE, rows)


def write_parts(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the results of parts of steps. rows: by the names in `_UPDATE_OBJECT`."""
    bulk.run(conn, _UPDATE_OBJECT, rows)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is due, or is over. error: why, unless its objects say it."""

    request: RequestId
    name: str
    state: StepState
    error: Error | None = None

    @property
    def event(self) -> audit.Event:
        """What the audit trail has of it."""
        if self.state == StepState.DUE:
            return audit.Event(self.request, "started", self.name)
        why = f": {self.error.message}" if self.error else ""
        return audit.Event(self.request, "step", f"{self.name}: {self.state}{why}")


def set_steps(conn: Connection, moved: Sequence[Step], now: float) -> None:
    """Write the states of steps, first of those that begin. The caller appends their events."""
    for statement, due in ((_START_STEP, True), (_END_STEP, False)):
        rows = [
            {"b_request": m.request, "b_name": m.name, "b_state": m.state, "b_error": m.error}
            for m in moved
            if (m.state == StepState.DUE) == due
        ]
        bulk.run(conn, statement, [{**row, "b_now": now} for row in rows])


def close_hollow(conn: Connection, ids: Collection[RequestId], now: float) -> None:
    """End the due steps of requests that have no objects."""
    for part in chunks(ids):
        conn.execute(_CLOSE_HOLLOW, {"b_ids": part, "b_now": now})


def stamp(conn: Connection, ids: Collection[RequestId]) -> None:
    """Write which generation of its object each due part waits for."""
    bulk.run(conn, _STAMP, [{"b_request": request} for request in ids])


def finish_untracked(conn: Connection, request: RequestId) -> None:
    """Set due parts to done if the ledger forgot their objects (`ledger.unschedule_unclaimed`)."""
    there = select(objects.c.key).where(objects.c.key == step_objects.c.key).exists()
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, DUE, ~there)
        .values(state=StepState.DONE)
    )


# Interventions of a person.


def reset(conn: Connection, request: RequestId, names: Sequence[str]) -> None:
    """Set steps of a request, with their objects, to waiting, as if they had not begun."""
    conn.execute(
        update(steps)
        .where(steps.c.request == request, steps.c.name.in_(names))
        .values(state=StepState.WAITING, error=None, started=None, ended=None)
    )
    waiting = select(steps.c.name).where(
        steps.c.request == request, steps.c.state == StepState.WAITING
    )
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.step.in_(waiting))
        .values(state=StepState.WAITING, error=None, generation=None)
    )


def stop(conn: Connection, request: RequestId, state: StepState, now: float) -> None:
    """Stop the steps of a request that are not over: `cancelled`, or `waiting` for a held one.

    An object of its steps that only withdraw is no longer due, unless another request waits for it.
    An object that its routes claim stays due: the next owner of the claim may wait for it (`undo`).
    """
    running = (StepState.WAITING, StepState.DUE)
    mine = (step_objects.c.request == request) & UNENDED
    looked_at = (
        select(steps.c.name)
        .where(steps.c.request == step_objects.c.request)
        .where(steps.c.name == step_objects.c.step, ~steps.c.routed)
        .exists()
    )
    keys = list(conn.scalars(select(step_objects.c.key).where(mine, looked_at).distinct()))
    conn.execute(
        update(steps)
        .where(steps.c.request == request, steps.c.state.in_(running))
        .values(state=state, ended=now if state in OVER else None)
    )
    conn.execute(update(step_objects).where(mine).values(state=state))
    awaited = select(step_objects.c.key).where(step_objects.c.key == objects.c.key, DUE).exists()
    for part in chunks(keys):
        conn.execute(update(objects).where(objects.c.key.in_(part), ~awaited).values(due=None))


def wait_whole(conn: Connection, request: RequestId) -> None:
    """Set each part of a routed step that waits in places to waiting as a whole.

    A part belongs to one user, or to a step without users. It is bound as a whole when it begins
    again.
    """
    other = step_objects.alias()
    begins_again = (
        select(other.c.key)
        .where(other.c.request == step_objects.c.request, other.c.step == step_objects.c.step)
        .where(other.c.item == step_objects.c.item, other.c.state == StepState.WAITING)
        .exists()
    )
    routed = (
        select(steps.c.name)
        .where(steps.c.request == step_objects.c.request)
        .where(steps.c.name == step_objects.c.step, steps.c.routed)
        .exists()
    )
    mine = (step_objects.c.request == request) & in_state(StepState.DONE)
    conn.execute(
        update(step_objects).where(mine, begins_again, routed).values(state=StepState.WAITING)
    )
    waits = _OBJECT.where(WAITING).exists()
    conn.execute(
        update(steps)
        .where(steps.c.request == request, steps.c.state.in_(OVER), waits)
        .values(state=StepState.WAITING, error=None, ended=None)
    )


def begin(conn: Connection, request: RequestId, names: Sequence[str], now: float) -> None:
    """Make waiting steps and their objects due, without a generation yet (see `stamp`)."""
    conn.execute(
        update(steps)
        .where(steps.c.request == request, steps.c.name.in_(names))
        .values(state=StepState.DUE, started=now)
    )
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.step.in_(names))
        .where(WAITING)
        .values(state=StepState.DUE, generation=None)
    )


def begin_again(conn: Connection, request: RequestId, pairs: Collection[tuple[Key, str]]) -> None:
    """Set the unmade parts of a request's steps to waiting, including those that failed.

    pairs: objects, each with its claimant. The steps themselves do not change (see `wait_whole`).
    """
    rows = [{"b_request": request, "b_key": key, "b_claimant": who} for key, who in pairs]
    bulk.run(conn, _BEGIN_AGAIN, rows)


def reopen(conn: Connection, request: RequestId, names: Collection[str]) -> None:
    """Make steps due again that may be over, without touching their objects."""
    for part in chunks(names):
        conn.execute(
            update(steps)
            .where(steps.c.request == request, steps.c.name.in_(part))
            .values(state=StepState.DUE, ended=None)
        )


def wait_again(conn: Connection, claims: Collection[tuple[RequestId, Key, str]]) -> None:
    """Make open requests wait again for objects that they ended without making.

    claims: request, object and claimant of each. An object that only a waiting step claims counts
    as over for every request, because there is nothing to make. So these requests never made it.
    """
    rows = [{"b_request": request, "b_key": key, "b_claimant": who} for request, key, who in claims]
    if bulk.count(conn, _AGAIN, rows):
        theirs = [{"b_request": request} for request in {request for request, _, _ in claims}]
        bulk.run(conn, _AGAIN_STEP, theirs)


def look_again(conn: Connection, requests: Collection[RequestId], keys: Collection[Key]) -> None:
    """Make open requests wait for objects that have become due, also where they were over."""
    theirs = [part for part in bulk.among(conn, _PARTS_OF, keys) if part.request in requests]
    rows = [{"b_request": request, "b_key": key} for request, key in dict.fromkeys(theirs)]
    bulk.run(conn, _LOOK_AGAIN, rows)
    waiting = [{"b_request": request} for request in {part.request for part in theirs}]
    bulk.run(conn, _AGAIN_STEP, waiting)
    stamp(conn, {part.request for part in theirs})


@dataclass(frozen=True, slots=True)
class Parts:
    """Waiting parts of a step that move to a state. users: whose, '' for those without a user.

    Parts that become due wait for their objects as they are now.
    """

    request: RequestId
    step: str
    users: Collection[str]
    state: StepState
    error: Error | None = None


def set_parts(conn: Connection, moved: Sequence[Parts]) -> None:
    """Write the states of waiting parts of steps."""
    alone: list[dict[str, Any]] = []
    for m in moved:
        move = {"b_request": m.request, "b_step": m.step, "b_state": m.state, "b_error": m.error}
        if len(m.users) == 1:
            alone += [{**move, "b_item": user} for user in m.users]
            continue
        for part in chunks(m.users):
            conn.execute(_MOVE_WAITING_OF_SOME, {**move, "b_ids": part})
    bulk.run(conn, _MOVE_WAITING_OF_ONE, alone)
