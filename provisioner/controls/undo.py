"""Undo: what a cancelled or held request wanted is wanted no more, and what it replaced is again.

Promises: all inside the caller's transaction; nothing that somebody had is left unclaimed, to be
closed by whoever looks next; what was closed before is not opened. What counts is what the request
itself made and read back: who looked at an object in between changes nothing. Leaves out: stopping
steps (`interventions`), and writing any outcome (`verbs`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from provisioner.contract import Key, Want
from provisioner.journal.records import history, ledger, object_rows, request_rows, step_rows
from provisioner.journal.records.history import Pair, Said
from provisioner.journal.schema import IDS, chunks, claims, lies_in, objects, requests, step_objects
from provisioner.journal.schema import steps as steps_table
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.steps import binding, steps

_SUSPENDING = ("user.suspend", "allocation.suspend")

COUNTING = frozenset({"user.resume", "allocation.resume", *_SUSPENDING, *history.TAKING})
"""Actions that are in force from their acceptance on, whatever is made of them when."""


def undo(
    conn: Connection, target: request_rows.Record, progress: binding.Progress, now: float
) -> list[str]:
    """Undo what a request that is being cancelled changed of what is wanted.

    A suspension of its own is lifted. What else a verb took away or gave back stays so. Return
    notes of what its writer should know.
    """
    unrouted = _unrouted(conn, target.id)
    if target.action in _SUSPENDING and ledger.lift(conn, target.id):
        object_rows.touch(conn, ledger.keys_of(conn, target.subject), now)
        return []
    give_back(conn, target, progress, now)
    object_rows.touch(conn, unrouted, now)
    if unrouted and target.action in COUNTING:
        return ["what it took away or gave back counted from its acceptance, and stays so"]
    return []


def give_back(
    conn: Connection, target: request_rows.Record, progress: binding.Progress, now: float
) -> None:
    """Give the claims that a request has not made, or taken away, back to whose they were."""
    if target.action in history.CLAIMING - COUNTING:
        _return_left_out(conn, target, progress, now)
    rows = _unmade(conn, target.id)
    keys = {row.key for row in rows}
    told = history.of(conn, [(row.key, row.claimant) for row in rows])
    before = {pair: history.before(said, target.id) for pair, said in told.items()}
    wants = _wants(conn, {bound for _, bound in before.values() if bound is not None}, progress)
    others = _claimed_by_others(conn, target.id, keys)
    restored: list[dict[str, Any]] = []
    gone: list[dict[str, str]] = []
    theirs: list[dict[str, Any]] = []
    for row in rows:
        pair = (row.key, row.claimant)
        owner, bound = before[pair]
        # Until its step begins, a request only adds its name to what was wanted before.
        kept = None if row.bound and bound is None else row.want
        if owner is not None:
            restored.append(
                {
                    "b_key": row.key,
                    "b_claimant": row.claimant,
                    "b_want": kept if bound is None else wants[bound].get(pair, kept),
                    "b_request": owner.request,
                    "b_source": owner.writer,
                }
            )
        elif row.key in others or row.nobodys or not _forgotten(row.former, told[pair], target.id):
            gone.append({"b_key": row.key, "b_claimant": row.claimant})
        else:
            theirs.append({"b_key": row.key, "b_claimant": row.claimant, "b_request": row.former})
    if restored:
        conn.execute(_RESTORE, restored)
    if gone:
        conn.execute(_DELETE, gone)
    if theirs:
        conn.execute(_THEIRS, theirs)
    _wait_again(conn, restored)
    made = {row.key for row in rows if row.converged} | {one["b_key"] for one in restored}
    object_rows.touch(conn, made & _claimed(conn, made), now)
    steps.stamp(conn, {one["b_request"] for one in restored})
    ledger.let_be(conn, keys)


def _forgotten(former: str | None, said: Sequence[Said], request: str) -> bool:
    """Say whether a claim was a request's that is known no more: it stays claimed, and theirs."""
    earlier = history.earlier(said, request)
    return former is not None and all(one.request != former for one in earlier)


def _return_left_out(
    conn: Connection, target: request_rows.Record, progress: binding.Progress, now: float
) -> None:
    """Claim again what a provision leaves out and has not taken away, for who had claimed it."""
    keys = {*_unrouted(conn, target.id), *_held_back(conn, target.subject)}
    once: set[Pair] = set()
    for part in chunks(keys):
        once.update((row.key, row.claimant) for row in conn.execute(_ONCE, {"b_ids": part}))
    nest = target.subject + "/"
    mine = {p for p in once if p[1] == target.subject or p[1].startswith(nest)}
    unmade = _unmade_of_others(conn, target)
    keys = {*keys, *(key for key, _ in unmade)}
    told = history.of(conn, (mine | unmade.keys()) - ledger.pairs(conn, keys))
    instances = object_rows.instances_of(conn, keys)
    before = {
        pair: history.before(said, target.id)
        for pair, said in told.items()
        if pair[0] in instances and not history.overtaken(said, target.id)
    }
    wants = _wants(conn, {bound for _, bound in before.values() if bound is not None}, progress)
    back = {
        pair: (owner, bound)
        for pair, (owner, bound) in before.items()
        if owner is not None and (pair in mine or owner.request in unmade[pair])
    }
    for pair, (owner, bound) in back.items():
        want = wants[bound].get(pair) if bound is not None else None
        entry = ledger.Entry(*pair, instances[pair[0]], want)
        ledger.restore(conn, entry, owner.request, owner.writer)
    object_rows.touch(conn, {key for key, _ in back}, now)


def _held_back(conn: Connection, subject: str) -> list[Key]:
    """List objects of which requests for a subject were to take claims away, and were stopped.

    Whoever left the same out after them was all that kept those out.
    """
    statement = (
        select(step_objects.c.key)
        .join(steps_table, _STEP)
        .join(requests, requests.c.id == step_objects.c.request)
        .where(_about(subject), requests.c.state.in_(history.STOPPED), ~steps_table.c.routed)
        .where(step_objects.c.state.in_([StepState.WAITING, StepState.CANCELLED]))
        .distinct()
    )
    return list(conn.scalars(statement))


def _about(subject: str) -> Any:
    """Match the requests for a subject and for what lies in it."""
    return (requests.c.subject == subject) | lies_in(requests.c.subject, subject)


def _unmade_of_others(conn: Connection, target: request_rows.Record) -> dict[Pair, set[str]]:
    """List what other requests for a target's subject have not made yet, with their ids.

    A request that was held when the target left its claims out, and was released since, has lost
    them without a step of the target's that tells so. What the target has taken away stays so.
    """
    taken = (
        select(step_objects.c.key)
        .join(steps_table, _STEP)
        .where(step_objects.c.request == target.id, ~steps_table.c.routed)
        .where(step_objects.c.state == StepState.DONE)
    )
    statement = (
        select(step_objects.c.key, step_objects.c.claimant, step_objects.c.request)
        .join(steps_table, _STEP)
        .join(requests, requests.c.id == step_objects.c.request)
        .where(_about(target.subject), requests.c.id != target.id)
        .where(requests.c.state.in_([*RUNNING, RequestState.FAILED]), steps_table.c.routed)
        .where(step_objects.c.state != StepState.DONE, step_objects.c.key.not_in(taken))
    )
    found: dict[Pair, set[str]] = {}
    for key, claimant, request in conn.execute(statement):
        found.setdefault((key, claimant), set()).add(request)
    return found


def _unrouted(conn: Connection, request: str) -> list[Key]:
    """List the objects that a request has no claim on, and was not over with."""
    statement = (
        select(step_objects.c.key)
        .join(
            steps_table,
            (steps_table.c.request == step_objects.c.request)
            & (steps_table.c.name == step_objects.c.step),
        )
        .where(
            step_objects.c.request == request,
            step_objects.c.state.in_([StepState.WAITING, StepState.DUE, StepState.CANCELLED]),
            ~steps_table.c.routed,
        )
        .distinct()
    )
    return list(conn.scalars(statement))


@dataclass(frozen=True, slots=True)
class _Unmade:
    """A claim that a request has not made yet.

    former: whose it was before, None where it was nobody's; bound: its want is the request's own;
    converged: it was once as somebody wanted; nobodys: it is sure that nobody had it.
    """

    key: Key
    claimant: str
    former: str | None
    want: Want | None
    bound: bool
    converged: bool
    nobodys: bool


def _unmade(conn: Connection, request: str) -> list[_Unmade]:
    """List the claims of a request that it never read back as wanted."""
    made: set[Pair] = set()
    found: dict[Pair, _Unmade] = {}
    for row in conn.execute(_PARTS, {"b_request": request}):
        pair = (row.key, row.claimant)
        if row.made:
            made.add(pair)
        bound = row.generation is not None or (pair in found and found[pair].bound)
        unclaimed = _unclaimed(row) if bound else row.want is None
        found[pair] = _Unmade(*pair, row.former, row.want, bound, row.converged > 0, unclaimed)
    return [one for pair, one in found.items() if pair not in made]


def _unclaimed(row: Any) -> bool:
    """Say of an object whether nobody had it: it is not there, or nobody wanted it open."""
    absent = row.state is not None and not row.state.get("present")
    return absent or not row.converged or row.prior is not None


def _wait_again(conn: Connection, restored: Collection[Mapping[str, Any]]) -> None:
    """Let those who have their claims back wait for them, though they were over meanwhile.

    An object that only a waiting step claims is over for whoever asks for it: there is nothing to
    make. Then it was never made for those who have it back.
    """
    for one in restored:
        waiting = conn.execute(_AGAIN, one).rowcount
        if waiting:
            conn.execute(_AGAIN_STEP, one)


def _wants(
    conn: Connection, askers: Collection[Said], progress: binding.Progress
) -> dict[Said, Mapping[Pair, Want | None]]:
    """Say what steps of earlier requests ask for."""
    ids = {said.request for said in askers}
    loaded, listed = request_rows.load(conn, ids), step_rows.steps_of(conn, ids)
    return {
        said: binding.asked(conn, loaded[said.request], listed[said.request], said.step, progress)
        for said in askers
    }


def _claimed(conn: Connection, keys: Collection[Key]) -> set[Key]:
    found: set[Key] = set()
    for part in chunks(keys):
        found.update(conn.scalars(select(claims.c.key).where(claims.c.key.in_(part))))
    return found


def _claimed_by_others(conn: Connection, request: str, keys: Collection[Key]) -> set[Key]:
    found: set[Key] = set()
    for part in chunks(keys):
        statement = select(claims.c.key).where(claims.c.key.in_(part), claims.c.request != request)
        found.update(conn.scalars(statement))
    return found


_MADE: Any = step_objects.c.read_back.is_not(None).label("made")
_STEP: Any = (steps_table.c.request == step_objects.c.request) & (
    steps_table.c.name == step_objects.c.step
)
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
        _MADE,
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
    .join(steps_table, _STEP)
    .where(step_objects.c.key.in_(IDS), steps_table.c.routed)
    .distinct()
)
_OPEN: Any = (
    select(requests.c.id)
    .where(requests.c.id == bindparam("b_request"), requests.c.state.in_(RUNNING))
    .exists()
)
_NOT_MADE: Any = update(step_objects).where(
    step_objects.c.request == bindparam("b_request"),
    step_objects.c.key == bindparam("b_key"),
    step_objects.c.claimant == bindparam("b_claimant"),
    step_objects.c.read_back.is_(None),
)
_AGAIN: Any = _NOT_MADE.where(step_objects.c.state == StepState.DONE, _OPEN).values(
    state=StepState.DUE, generation=None
)
_REOPENED: Any = (
    select(step_objects.c.key)
    .where(
        step_objects.c.request == steps_table.c.request,
        step_objects.c.step == steps_table.c.name,
        step_objects.c.state == StepState.DUE,
    )
    .exists()
)
_AGAIN_STEP: Any = (
    update(steps_table)
    .where(
        steps_table.c.request == bindparam("b_request"),
        steps_table.c.state == StepState.DONE,
        _REOPENED,
    )
    .values(state=StepState.DUE, ended=None)
)
_RESTORE: Any = (
    update(claims)
    .where(claims.c.key == bindparam("b_key"), claims.c.claimant == bindparam("b_claimant"))
    .values(want=bindparam("b_want"), request=bindparam("b_request"), source=bindparam("b_source"))
)
_THEIRS: Any = (
    update(claims)
    .where(claims.c.key == bindparam("b_key"), claims.c.claimant == bindparam("b_claimant"))
    .values(request=bindparam("b_request"))
)
_DELETE: Any = delete(claims).where(
    claims.c.key == bindparam("b_key"), claims.c.claimant == bindparam("b_claimant")
)
