"""Unmade: the claims that a request has not made yet, and giving them back.

Promises: everything is read and written inside the caller's transaction. A request made what it
read back itself; later looks change nothing. Leaves out: whose a claim was before (`history`), and
what is undone when (`undo`, `renewal`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, select, update

from provisioner.contract import Key, Want
from provisioner.journal.dialect import IDS, chunks, lies_in
from provisioner.journal.queries.history import STOPPED, TAKING, UNREAD, Pair
from provisioner.journal.records import step_moves
from provisioner.journal.schema import claims, in_state, objects, requests, step_objects, steps
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Unmade:
    """A claim that a request has not made yet.

    former: the request that had it before, None if none had; bound: its want is the request's own;
    converged: the object was once as somebody wanted; nobodys: it is certain that nobody had it.
    """

    key: Key
    claimant: str
    former: RequestId | None
    want: Want | None
    bound: bool
    converged: bool
    nobodys: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """A claim that goes back to an earlier request. want: None until that one's step begins."""

    key: Key
    claimant: str
    want: Want | None
    request: RequestId
    writer: str


# What a request has not made.


def of(conn: Connection, request: RequestId) -> list[Unmade]:
    """Return the claims of a request that it never read back as wanted."""
    made: set[Pair] = set()
    claims_of: dict[Pair, Unmade] = {}
    for row in conn.execute(_PARTS, {"b_request": request}):
        pair = (row.key, row.claimant)
        if row.made:
            made.add(pair)
        bound = row.generation is not None or (pair in claims_of and claims_of[pair].bound)
        unclaimed = _unclaimed(row) if bound else row.want is None
        claims_of[pair] = Unmade(*pair, row.former, row.want, bound, row.converged > 0, unclaimed)
    return [claim for pair, claim in claims_of.items() if pair not in made]


def _unclaimed(row: Any) -> bool:
    """Return True if nobody had an object: it does not exist, or nobody wanted it open."""
    absent = row.state is not None and not row.state.get("present")
    return absent or not row.converged or row.prior is not None


def waiting(conn: Connection, request: RequestId) -> list[Any]:
    """List what a request's routes claim and it has not made: key, claimant, instance of each."""
    return list(conn.execute(_WAITING, {"b_request": request}).all())


def routed_pairs(conn: Connection, request: RequestId) -> set[Pair]:
    """Return what the steps of a request claim, or claimed."""
    return {(row.key, row.claimant) for row in conn.execute(_ROUTED, {"b_request": request})}


def unrouted(conn: Connection, request: RequestId) -> list[Key]:
    """List the objects that a request only withdraws from, and had not finished or not read."""
    open_yet = step_objects.c.state.in_([StepState.WAITING, StepState.DUE, StepState.CANCELLED])
    statement = (
        select(step_objects.c.key)
        .join(steps, _STEP)
        .outerjoin(objects, objects.c.key == step_objects.c.key)
        .where(step_objects.c.request == request, ~steps.c.routed, open_yet | UNREAD)
        .distinct()
    )
    return list(conn.scalars(statement))


# What others have not made, or had.


def of_others(conn: Connection, request: RequestId, subject: str) -> dict[Pair, set[RequestId]]:
    """Return what other requests for a request's subject have not made yet, with their ids.

    A request that was held when this one left its claims out, and was released later, has lost
    them, and no step of this one shows it. What this one has already taken away stays so.
    """
    statement = (
        select(
            step_objects.c.key,
            step_objects.c.claimant,
            step_objects.c.request,
            step_objects.c.step,
            step_objects.c.item,
            steps.c.needs,
            (step_objects.c.state == StepState.DONE).label("over"),
        )
        .join(steps, _STEP)
        .join(requests, requests.c.id == step_objects.c.request)
        .join(objects, objects.c.key == step_objects.c.key)
        .where(_about(subject), requests.c.id != request)
        .where(requests.c.state.in_([*RUNNING, RequestState.FAILED]), steps.c.routed)
        .where((step_objects.c.state != StepState.DONE) | _EMPTY_END, _not_taken_by(request))
    )
    others: dict[Pair, set[RequestId]] = {}
    for row in _rested_on(conn.execute(statement).all()):
        others.setdefault((row.key, row.claimant), set()).add(row.request)
    return others


def _rested_on(rows: Sequence[Any]) -> list[Any]:
    """Return the parts of steps that are not over, and those over that one of these rests on."""
    kept: list[Any] = []
    found, left = [row for row in rows if not row.over], [row for row in rows if row.over]
    needed: set[tuple[RequestId, str, str]] = set()
    while found:
        kept += found
        # What is one user's rests on what is for all, too.
        needed |= {
            (r.request, need, user) for r in found for need in r.needs for user in (r.item, "")
        }
        found = [row for row in left if (row.request, row.step, row.item) in needed]
        left = [row for row in left if (row.request, row.step, row.item) not in needed]
    return kept


def held_back(conn: Connection, request: RequestId, subject: str) -> list[Key]:
    """List objects from which stopped requests for a subject were to withdraw claims.

    Only this request, which came later and leaves the same claims out, still kept them out. What it
    has already taken away stays so.
    """
    statement = (
        select(step_objects.c.key)
        .join(steps, _STEP)
        .join(requests, requests.c.id == step_objects.c.request)
        .where(_about(subject), requests.c.state.in_(STOPPED), ~steps.c.routed)
        .where(step_objects.c.state.in_([StepState.WAITING, StepState.CANCELLED]))
        .where(_not_taken_by(request))
        .distinct()
    )
    return list(conn.scalars(statement))


def taken(conn: Connection, request: RequestId) -> list[Key]:
    """List the objects that a request took away: it saw them without the claims that it leaves out.

    One that nobody ever had as wanted was taken from nobody; one that was not read, not yet.
    """
    return list(conn.scalars(_taken_by(request)))


def _taken_by(request: RequestId) -> Select[tuple[Key]]:
    return (
        select(step_objects.c.key)
        .join(steps, _STEP)
        .join(objects, objects.c.key == step_objects.c.key)
        .where(step_objects.c.request == request, ~steps.c.routed)
        .where(in_state(StepState.DONE), objects.c.converged > 0, ~UNREAD)
    )


def removals_unread(conn: Connection, keys: Collection[Key]) -> set[Key]:
    """Return those of some objects from which a removal in force has ended without reading them."""
    in_force = steps.c.withdraws & requests.c.state.not_in(STOPPED) | requests.c.action.in_(TAKING)
    unread: set[Key] = set()
    for part in chunks(keys):
        statement = (
            select(step_objects.c.key)
            .join(steps, _STEP)
            .join(requests, requests.c.id == step_objects.c.request)
            .join(objects, objects.c.key == step_objects.c.key)
            .where(step_objects.c.key.in_(part), ~steps.c.routed, UNREAD, in_force)
        )
        unread.update(conn.scalars(statement))
    return unread


def _not_taken_by(request: RequestId) -> ColumnElement[bool]:
    """Match the objects that a request has not taken away."""
    return step_objects.c.key.not_in(_taken_by(request))


def _about(subject: str) -> ColumnElement[bool]:
    """Match the requests for a subject and for those inside it."""
    return (requests.c.subject == subject) | lies_in(requests.c.subject, subject)


def once_claimed(conn: Connection, keys: Collection[Key]) -> set[Pair]:
    """Return everyone who ever claimed some objects."""
    once: set[Pair] = set()
    for part in chunks(keys):
        once.update((row.key, row.claimant) for row in conn.execute(_ONCE, {"b_ids": part}))
    return once


def unbound(conn: Connection, pairs: Collection[Pair]) -> dict[Pair, RequestId]:
    """Return those of some claims that have no want yet, each with its request."""
    unbound: dict[Pair, RequestId] = {}
    for part in chunks({key for key, _ in pairs}):
        statement = select(claims.c.key, claims.c.claimant, claims.c.request)
        unknown = statement.where(claims.c.key.in_(part), claims.c.want.is_(None))
        unbound.update(
            {(key, claimant): request for key, claimant, request in conn.execute(unknown)}
        )
    return {pair: request for pair, request in unbound.items() if pair in pairs}


def having_wants(conn: Connection, pairs: Collection[Pair]) -> dict[Pair, RequestId]:
    """Return those of some claims that have a want, each with its request."""
    having: dict[Pair, RequestId] = {}
    for part in chunks({key for key, _ in pairs}):
        columns = (claims.c.key, claims.c.claimant, claims.c.request)
        known = select(*columns).where(claims.c.key.in_(part), claims.c.want.is_not(None))
        having.update({(key, claimant): request for key, claimant, request in conn.execute(known)})
    return {pair: request for pair, request in having.items() if pair in pairs}


def still_claimed(conn: Connection, keys: Collection[Key]) -> set[Key]:
    """Return those of some objects that somebody still claims."""
    claimed: set[Key] = set()
    for part in chunks(keys):
        claimed.update(conn.scalars(select(claims.c.key).where(claims.c.key.in_(part))))
    return claimed


def claimed_by_others(conn: Connection, request: RequestId, keys: Collection[Key]) -> set[Key]:
    """Return those of some objects that another request claims."""
    claimed: set[Key] = set()
    for part in chunks(keys):
        statement = select(claims.c.key).where(claims.c.key.in_(part), claims.c.request != request)
        claimed.update(conn.scalars(statement))
    return claimed


# Giving back.


def give(
    conn: Connection,
    restored: Sequence[Restored],
    dropped: Collection[Pair],
    handed: Mapping[Pair, RequestId],
) -> None:
    """Give claims back.

    restored: those that go back to earlier requests, which wait for them again; dropped: those to
    delete; handed: those that go to a request that is no longer known.
    """
    if restored:
        conn.execute(_RESTORE, [_restoring(claim) for claim in restored])
    if dropped:
        conn.execute(_DELETE, [{"b_key": key, "b_claimant": name} for key, name in dropped])
    if handed:
        theirs = [
            {"b_key": key, "b_claimant": claimant, "b_request": request}
            for (key, claimant), request in handed.items()
        ]
        conn.execute(_THEIRS, theirs)
    step_moves.wait_again(conn, [(claim.request, claim.key, claim.claimant) for claim in restored])


def fill(conn: Connection, wants: Mapping[Pair, Want]) -> None:
    """Give claims that wait for their step a want in the meantime."""
    rows = [{"b_key": key, "b_claimant": who, "b_want": want} for (key, who), want in wants.items()]
    if rows:
        conn.execute(_FILL, rows)


def empty(conn: Connection, pairs: Collection[Pair]) -> None:
    """Take the wants of claims away, until the steps that claim them begin."""
    rows = [{"b_key": key, "b_claimant": claimant} for key, claimant in pairs]
    if rows:
        conn.execute(_EMPTY, rows)


def _restoring(claim: Restored) -> dict[str, Any]:
    return {
        "b_key": claim.key,
        "b_claimant": claim.claimant,
        "b_want": claim.want,
        "b_request": claim.request,
        "b_source": claim.writer,
    }


_STEP: Any = (steps.c.request == step_objects.c.request) & (steps.c.name == step_objects.c.step)
_EMPTY_END: Any = (objects.c.converged == 0) & requests.c.state.in_(RUNNING)
"""An open request did not make what was never as somebody wanted, though its part is over: it ended
when its claim was taken away."""
_PARTS: Any = (
    select(
        claims.c.key,
        claims.c.claimant,
        claims.c.want,
        claims.c.former,
        objects.c.converged,
        objects.c.prior,
        objects.c.state,
        step_objects.c.generation,
        step_objects.c.read_back.is_not(None).label("made"),
    )
    .join(objects, objects.c.key == claims.c.key)
    .join(
        step_objects,
        (step_objects.c.request == claims.c.request)
        & (step_objects.c.key == claims.c.key)
        & (step_objects.c.claimant == claims.c.claimant),
    )
    .where(claims.c.request == bindparam("b_request"))
)
_ONCE: Any = (
    select(step_objects.c.key, step_objects.c.claimant)
    .join(steps, _STEP)
    .where(step_objects.c.key.in_(IDS), steps.c.routed)
    .distinct()
)
_ROUTED: Any = (
    select(step_objects.c.key, step_objects.c.claimant, steps.c.instance)
    .join(steps, _STEP)
    .where(step_objects.c.request == bindparam("b_request"), steps.c.routed)
    .distinct()
)
_WAITING: Any = _ROUTED.where(step_objects.c.read_back.is_(None))
_CLAIM: Any = (claims.c.key == bindparam("b_key")) & (claims.c.claimant == bindparam("b_claimant"))
_RESTORE: Any = (
    update(claims)
    .where(_CLAIM)
    .values(want=bindparam("b_want"), request=bindparam("b_request"), source=bindparam("b_source"))
)
_THEIRS: Any = update(claims).where(_CLAIM).values(request=bindparam("b_request"))
_FILL: Any = update(claims).where(_CLAIM).values(want=bindparam("b_want"))
_EMPTY: Any = update(claims).where(_CLAIM).values(want=None)
_DELETE: Any = delete(claims).where(_CLAIM)
