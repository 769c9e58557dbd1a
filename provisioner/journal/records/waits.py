"""Waits: which objects are due in which lane, and what is corrected after the time of day jumped.

Promises: everything is read and written inside the caller's transaction. Leaves out: noticing that
the clock jumped (`clock`), and when an object becomes due (`object_rows`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Any, TypeVar

from sqlalchemy import Connection, Text, bindparam, case, cast, func, select, update

from provisioner.contract import Claim, Key
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.records import keepsakes, ledger, object_rows
from provisioner.journal.schema import claims, lanes, objects, step_objects, steps
from provisioner.objects.items import Item
from provisioner.plain.values import value
from provisioner.system.ulid import RequestId

_AGAIN = (objects.c.generation > 1) & (objects.c.converged != objects.c.generation)

_LENGTH = (
    select(func.sum(func.length(cast(claims.c.want, Text))))
    .where(claims.c.key == objects.c.key)
    .scalar_subquery()
)

_LOOKED_AT = (
    select(
        objects.c.key,
        objects.c.instance,
        objects.c.generation,
        objects.c.attempts,
        objects.c.waiting_since,
        objects.c.adoption,
        *keepsakes.COLUMNS,
        case((_AGAIN, objects.c.state)).label("state"),
        _LENGTH.label("length"),
    )
    .where(objects.c.lane == bindparam("b_lane"), objects.c.due <= bindparam("b_now"))
    .order_by(objects.c.due)
    .limit(bindparam("b_limit"))
)

_OF_WRITER = objects.c.writer == bindparam("b_writer")

_DUE = {
    (False, False): _LOOKED_AT,
    (False, True): _LOOKED_AT.where(object_rows.NOT_SHUT),
    (True, False): _LOOKED_AT.where(_OF_WRITER),
    (True, True): _LOOKED_AT.where(_OF_WRITER, object_rows.NOT_SHUT),
}
"""What is due, by whether it is of one writer, and whether some instances are shut."""

HEAVY = 1024 * 1024
"""Bytes of wants, as text, of the objects of a batch: handlers, plans and results take some fifty
times as much."""

SHARED = 4
"""How much shorter a batch is that several writers share: each of them waits for all of it."""

_NEXT_WRITER = (
    select(objects.c.writer)
    .where(
        objects.c.lane == bindparam("b_lane"),
        objects.c.due.is_not(None),
        objects.c.writer > bindparam("b_after"),
    )
    .order_by(objects.c.writer)
    .limit(1)
)
"""One look-up in an index a writer, however much is due."""


_STEP: Any = (steps.c.request == step_objects.c.request) & (steps.c.name == step_objects.c.step)

_NEEDS = (
    select(
        claims.c.key,
        claims.c.claimant,
        claims.c.request,
        step_objects.c.item,
        steps.c.needs,
        steps.c.instance,
    )
    .join(
        step_objects,
        (step_objects.c.request == claims.c.request)
        & (step_objects.c.key == claims.c.key)
        & (step_objects.c.claimant == claims.c.claimant),
    )
    .join(steps, _STEP)
    .where(claims.c.key.in_(IDS), steps.c.routed)
)

_PARTS = (
    select(
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.item,
        step_objects.c.key,
        objects.c.instance,
        objects.c.due,
        objects.c.state,
    )
    .join(objects, objects.c.key == step_objects.c.key)
    .where(
        step_objects.c.request.in_(IDS),
        step_objects.c.step.in_(bindparam("b_steps", expanding=True)),
        step_objects.c.item.in_(bindparam("b_items", expanding=True)),
    )
)

_Place = tuple[RequestId, str, str]
"""A user's part of a step of a request; '' for a part without a user."""

Of = TypeVar("Of")


@dataclass(frozen=True, slots=True)
class Missing:
    """An object that another one rests on, and that is not there yet.

    instance: its handler's; rests: nothing is due of it.
    """

    key: Key
    instance: str
    rests: bool


@value(frozen=True, slots=True)
class Due:
    """An object that is due.

    unbound: only steps that are not due yet claim it, and it stays; missing: what it has to wait
    for.
    """

    instance: str
    item: Item
    unbound: bool
    missing: Missing | None = None


def due(
    conn: Connection,
    lane: str,
    now: float,
    limit: int,
    shut: Collection[str] = (),
    taken: Collection[Key] = (),
) -> list[Due]:
    """Return the objects of a lane that are due, longest due first.

    If more than `limit` are due, of several writers, a part of `limit` is returned, in turns: each
    has as many of these as the others, or all that is due of theirs. shut: instances that are not
    asked now; their objects stay due. taken: objects whose results are being recorded, which are
    left out.

    Fewer are returned if more than `HEAVY` bytes are wanted of them: a want can be very long, and
    very many requests can want something of one object.

    An object of ours that only waiting steps claim stays as it is, unless all of these claims are
    suspended: who is suspended has no access, whatever waits. It is then as if nobody claimed it.

    Steps keep the order in which they make something. What is opened again, by whomever, is due at
    once in all lanes, and waits here for what it rests on.
    """
    # What was taken has been due longest, and would come first.
    parameters: dict[str, Any] = {"b_lane": lane, "b_now": now, "b_limit": limit + len(taken)}
    if shut:
        parameters["b_shut"] = list(shut)
    rows = bulk.rows(conn, _DUE[False, bool(shut)], parameters)
    if len(rows) == limit + len(taken) and len(writers := _writers(conn, lane)) > 1:
        mine = [
            bulk.rows(conn, _DUE[True, bool(shut)], {**parameters, "b_writer": writer})
            for writer in writers
        ]
        rows = in_turns([row for row in some if row.key not in taken] for some in mine)
        limit = min(limit, max(-(-limit // SHARED), len(writers)))
    rows = _light([row for row in rows if row.key not in taken][:limit])
    held = ledger.claims_of(conn, [row.key for row in rows])
    waiting = {row.key for row in rows if held.get(row.key) == ()}
    closed = _all_suspended(conn, [row.key for row in rows if row.key in waiting and row.converged])
    items = [_item(row, held.get(row.key, ()), awaited=row.key in waiting) for row in rows]
    early = _missing(
        conn, [item for row, item in zip(rows, items, strict=True) if _remade(row, item)]
    )
    return [
        Due(row.instance, item, item.awaited and item.key not in closed, early.get(item.key))
        for row, item in zip(rows, items, strict=True)
    ]


def _light(rows: list[Any]) -> list[Any]:
    """Return the first of some objects, of which no more is wanted than `HEAVY`, but at least
    one."""
    weights = accumulate(row.length or 0 for row in rows)
    return rows[: max(1, sum(weight <= HEAVY for weight in weights))]


def in_turns(queues: Iterable[Iterable[Of]]) -> list[Of]:
    """Return the first of each queue, then the second of each, and so on."""
    rounds = zip_longest(*queues, fillvalue=None)
    return [one for each in rounds for one in each if one is not None]


def _writers(conn: Connection, lane: str) -> list[str]:
    """List the writers in whose turns anything of a lane is looked at, now or later."""
    found: list[str] = []
    parameters = {"b_lane": lane, "b_after": ""}
    while rows := bulk.rows(conn, _NEXT_WRITER, parameters):
        ((parameters["b_after"],),) = rows
        found.append(parameters["b_after"])
    return found


def _missing(conn: Connection, items: Sequence[Item]) -> dict[Key, Missing]:
    """Return those of some open objects that rest on one that is not there yet, each with that one.

    An object rests on those of the steps that its claim's step needs, for its user; for several
    claims it may be made if one of them has all that it needs. An object is there if it exists, and
    nothing is due of it: one that was given up for another reason keeps nobody out. Among its own
    objects, a handler keeps the order.
    """
    if not items:
        return {}
    needs: dict[tuple[Key, str], list[tuple[_Place, str]]] = {}
    for key, claimant, request, user, names, own in bulk.among(
        conn, _NEEDS, [i.key for i in items]
    ):
        places = [((request, name, whose), own) for name in names for whose in (user, "")]
        needs.setdefault((key, claimant), []).extend(places)
    absent = _absent(conn, {place for places in needs.values() for place, _ in places})
    missing: dict[Key, Missing] = {}
    for item in items:
        open_to = [claim.claimant for claim in item.claims if not claim.suspended]
        first = [_first(needs.get((item.key, name), ()), absent) for name in open_to]
        known = [one for one in first if one is not None]
        if len(known) == len(first):
            missing[item.key] = known[0]
    return missing


def _first(
    places: Iterable[tuple[_Place, str]], absent: Mapping[_Place, Missing]
) -> Missing | None:
    """Return the first object that is absent, and another handler's than the given instance's."""
    found = ((absent[place], own) for place, own in places if place in absent)
    return next((missing for missing, own in found if missing.instance != own), None)


def _absent(conn: Connection, places: Collection[_Place]) -> dict[_Place, Missing]:
    """Return those of some parts with an object that is not there yet, each with that object."""
    absent: dict[_Place, Missing] = {}
    names = sorted({step for _, step, _ in places})
    users_of: dict[RequestId, set[str]] = {}
    for request, _, user in places:
        users_of.setdefault(request, set()).add(user)
    for ids in chunks(users_of):
        for users in chunks(set[str]().union(*(users_of[request] for request in ids))):
            asked = {IDS.key: list(ids), "b_steps": names, "b_items": list(users)}
            for request, step, user, key, instance, due, state in bulk.rows(conn, _PARTS, asked):
                if due is not None or not (state or {}).get("present"):
                    absent.setdefault((request, step, user), Missing(key, instance, due is None))
    return absent


def _all_suspended(conn: Connection, keys: Collection[Key]) -> set[Key]:
    """Return those of some claimed objects all of whose claims are suspended, waiting or not."""
    if not keys:
        return set()
    pairs_of = ledger.pairs(conn, keys)
    closed = ledger.suspended_parts(conn, {claimant for _, claimant in pairs_of})
    return set(keys) - {key for key, claimant in pairs_of if claimant not in closed}


def _remade(row: Any, item: Item) -> bool:
    """Return True if an object is to be made, and not by the first step that claimed it, which has
    kept its place in the order."""
    again = item.generation > 1 and not item.settled and item.open
    return again and not (row.state or {}).get("present")


def _item(row: Any, held: tuple[Claim, ...], *, awaited: bool) -> Item:
    kept = keepsakes.kept(row)
    return Item(
        row.key,
        held,
        kept.prior,
        row.generation,
        row.attempts,
        row.waiting_since,
        row.adoption,
        kept.identity,
        kept.applied,
        awaited,
        kept.begun,
        settled=row.converged == row.generation,
    )


def clock_was_ahead(conn: Connection, now: float, longest: Mapping[str, float]) -> bool:
    """Return True if a wait is longer than it can be, or began in the future.

    longest: the most seconds for which each lane puts anything off.
    """
    late = [select(objects.c.key).where(objects.c.waiting_since > now)]
    for name, seconds in longest.items():
        latest = now + seconds
        late.append(select(objects.c.key).where(objects.c.lane == name, objects.c.due > latest))
        late.append(
            select(lanes.c.name).where(lanes.c.name == name, lanes.c.breaker_until > latest)
        )
    return any(conn.scalar(statement.limit(1)) is not None for statement in late)


def set_clock(conn: Connection, before: float, now: float, longest: Mapping[str, float]) -> int:
    """Correct the times of waits after the time of day jumped.

    before: the time without the jump; now: the time with it; longest: the most seconds for which
    each lane puts anything off. Afterwards nothing is due later than that, and nothing has waited
    longer than it really has. Return how many waits were too long, or began in the future.
    """
    by = now - before
    since, moved = objects.c.waiting_since, 0
    if by > 0:
        conn.execute(update(objects).where(since <= before).values(waiting_since=since + by))
    back = func.min(since + by, now) if by < 0 else now
    moved += conn.execute(update(objects).where(since > now).values(waiting_since=back)).rowcount
    for table, lane, column in (
        (objects, objects.c.lane, objects.c.due),
        (lanes, lanes.c.name, lanes.c.breaker_until),
    ):
        for name, seconds in longest.items():
            latest = now + seconds
            sooner = func.min(column + by, latest) if by < 0 else now
            statement = update(table).where(lane == name, column > latest)
            moved += conn.execute(statement.values({column.name: sooner})).rowcount
    return moved


UNSERVED = "no handler"
"""The lane of objects whose handler is no longer configured."""

PUT_BACK = "put it back into the configuration, or send the request again without"
"""What to do about such an object."""


def displaced(conn: Connection, lanes: Mapping[str, str]) -> bool:
    """Return True if an object is not in its instance's lane. lanes: as for `place`."""
    rows = conn.execute(select(objects.c.instance, objects.c.lane).distinct())
    return any(lanes.get(instance, UNSERVED) != lane for instance, lane in rows)


def place(conn: Connection, lanes: Mapping[str, str]) -> None:
    """Move objects to the lanes that now serve their instances. lanes: lane of each instance."""
    for instance, lane in lanes.items():
        conn.execute(
            update(objects)
            .where(objects.c.instance == instance, objects.c.lane != lane)
            .values(lane=lane)
        )
    without = objects.c.instance.not_in(list(lanes))
    conn.execute(update(objects).where(without).values(lane=UNSERVED))


def unserved(conn: Connection) -> list[str]:
    """Return the instances of objects that no configured handler serves, as `place` found them."""
    statement = select(objects.c.instance).where(objects.c.lane == UNSERVED).distinct()
    return sorted(conn.scalars(statement))
