"""Undo: what a cancelled or held request wanted is wanted no more, and what it replaced is again.

Promises: all inside the caller's transaction; nothing that somebody had is left unclaimed, to be
closed by whoever looks next; what was closed before is not opened. What counts is what the request
itself made and read back: who looked at an object in between changes nothing. Leaves out: stopping
steps (`interventions`), and writing any outcome (`verbs`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioner.contract import Want
from provisioner.journal.journal import Connection
from provisioner.journal.queries import history, unmade
from provisioner.journal.queries.history import Pair, Said
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.steps import binding

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
    unrouted = unmade.unrouted(conn, target.id)
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
    rows = unmade.of(conn, target.id)
    keys = {row.key for row in rows}
    told = history.of(conn, [(row.key, row.claimant) for row in rows])
    before = {pair: history.before(said, target.id) for pair, said in told.items()}
    wants = _wants(conn, {bound for _, bound in before.values() if bound is not None}, progress)
    others = unmade.claimed_by_others(conn, target.id, keys)
    restored: list[unmade.Restored] = []
    gone: list[Pair] = []
    theirs: dict[Pair, str] = {}
    for row in rows:
        pair = (row.key, row.claimant)
        owner, bound = before[pair]
        # Until its step begins, a request only adds its name to what was wanted before.
        kept = None if row.bound and bound is None else row.want
        if owner is not None:
            want = kept if bound is None else wants[bound].get(pair, kept)
            restored.append(unmade.Restored(*pair, want, owner.request, owner.writer))
        elif row.key in others or row.nobodys or not _forgotten(row.former, told[pair], target.id):
            gone.append(pair)
        elif row.former is not None:
            theirs[pair] = row.former
    unmade.give(conn, restored, gone, theirs)
    made = {row.key for row in rows if row.converged} | {one.key for one in restored}
    object_rows.touch(conn, made & unmade.still_claimed(conn, made), now)
    step_moves.stamp(conn, {one.request for one in restored})
    ledger.let_be(conn, keys)


def _forgotten(former: str | None, said: Sequence[Said], request: str) -> bool:
    """Say whether a claim was a request's that is known no more: it stays claimed, and theirs."""
    earlier = history.earlier(said, request)
    return former is not None and all(one.request != former for one in earlier)


def _return_left_out(
    conn: Connection, target: request_rows.Record, progress: binding.Progress, now: float
) -> None:
    """Claim again what a provision leaves out and has not taken away, for who had claimed it."""
    keys = {*unmade.unrouted(conn, target.id), *unmade.held_back(conn, target.id, target.subject)}
    once = unmade.once_claimed(conn, keys)
    nest = target.subject + "/"
    mine = {p for p in once if p[1] == target.subject or p[1].startswith(nest)}
    others = unmade.of_others(conn, target.id, target.subject)
    keys = {*keys, *(key for key, _ in others)}
    left_out = mine | others.keys()
    _fill(conn, target, unmade.unbound(conn, left_out), progress, now)
    told = history.of(conn, left_out - ledger.pairs(conn, keys))
    instances = object_rows.instances_of(conn, keys)
    before = {
        pair: history.before(said, target.id)
        for pair, said in told.items()
        if pair[0] in instances
        and history.spoke(said, target.id)
        and not history.overtaken(said, target.id)
    }
    wants = _wants(conn, {bound for _, bound in before.values() if bound is not None}, progress)
    back = {
        pair: (owner, bound)
        for pair, (owner, bound) in before.items()
        if owner is not None and (pair in mine or owner.request in others[pair])
    }
    for pair, (owner, bound) in back.items():
        want = wants[bound].get(pair) if bound is not None else None
        entry = ledger.Entry(*pair, instances[pair[0]], want)
        ledger.restore(conn, entry, owner.request, owner.writer)
    object_rows.touch(conn, {key for key, _ in back}, now)


def _fill(
    conn: Connection,
    target: request_rows.Record,
    waiting: Mapping[Pair, str],
    progress: binding.Progress,
    now: float,
) -> None:
    """Want what was in force before, where a later request claims again and has not begun.

    What the provision left out was nobody's when that request came, so that it kept no want.
    waiting: the later request of each claim.
    """
    told = history.of(conn, waiting.keys())
    before = {
        pair: history.before([one for one in said if one.request != target.id], waiting[pair])[1]
        for pair, said in told.items()
        if history.spoke(said, target.id)
    }
    wants = _wants(conn, {bound for bound in before.values() if bound is not None}, progress)
    again = {
        pair: want
        for pair, bound in before.items()
        if bound is not None and (want := wants[bound].get(pair)) is not None
    }
    unmade.fill(conn, again)
    object_rows.touch(conn, {key for key, _ in again}, now)


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
