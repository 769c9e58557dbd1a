"""Renewal: a released request claims again what it has not made.

Promises: everything happens inside the caller's transaction. If a later request mentions a claim,
that one counts. Leaves out: giving claims back (`undo`), and beginning steps (`interventions`,
`advance`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioner.contract import Key
from provisioner.journal.journal import Connection
from provisioner.journal.queries import history, unmade
from provisioner.journal.queries.history import Mention, Pair
from provisioner.journal.records import (
    ledger,
    object_rows,
    request_rows,
    step_moves,
    step_rows,
)
from provisioner.journal.records.object_rows import Turn
from provisioner.steps import steps


def claim_again(
    conn: Connection, target: request_rows.Record, lanes: Mapping[str, str], now: float
) -> None:
    """Claim again what a released request has not made, unless a later one mentions the claim.

    The claims count when its steps begin, as they did the first time. Failed parts are tried again,
    and what the request leaves out is taken back. lanes: lane of each instance.
    """
    rows = unmade.waiting(conn, target.id)
    mine = {(row.key, row.claimant) for row in rows}
    routed = unmade.routed_pairs(conn, target.id)
    held = ledger.claimed(conn, [target.subject])[target.subject] - routed
    mentions = history.of(conn, mine | held)
    entries = [
        ledger.Entry(row.key, row.claimant, row.instance, None)
        for row in rows
        if row.instance in lanes
        and not history.overtaken(mentions[row.key, row.claimant], target.id)
    ]
    owner = {entry.claimant: (target.id, target.writer) for entry in entries}
    ledger.claim(conn, entries, lanes, owner, now)
    # This includes parts that failed, or ended because another's claim waited: this claim is new.
    step_moves.begin_again(conn, target.id, [(entry.key, entry.claimant) for entry in entries])
    left = {pair for pair in held if not history.overtaken(mentions[pair], target.id)}
    _withdraw_again(conn, target, ledger.withdraw(conn, left, Turn(now, target.writer)))
    _empty(conn, {pair: mentions[pair] for pair in held - left})


def _empty(conn: Connection, mentions: Mapping[Pair, Sequence[Mention]]) -> None:
    """Empty claims of later requests, which have not begun, of the want of an earlier owner.

    The released request leaves these claims out. While it was held, the want of the owner before it
    was in force for them; now there is no owner before them.
    """
    stale: set[Pair] = set()
    for pair, request in unmade.having_wants(conn, mentions.keys()).items():
        known = {mention.request: mention for mention in mentions[pair]}
        waits = request in known and not known[request].bound
        if waits and history.before(mentions[pair], request)[1] is None:
            stale.add(pair)
    unmade.empty(conn, stale)


def _withdraw_again(conn: Connection, target: request_rows.Record, keys: Collection[Key]) -> None:
    """Make a released request wait until what it leaves out is taken away.

    keys: objects that somebody claimed while it was held. Its steps name them, so that a second
    hold can give them back.
    """
    known = {step.name for step in step_rows.outlines_of(conn, [target.id])[target.id]}
    gone = object_rows.instances_of(conn, keys)
    made, parts = steps.rows_of_keys(target.id, target.subject, gone, len(known), withdraws=True)
    step_rows.insert_steps(conn, [step for step in made if step["name"] not in known])
    step_rows.insert_step_objects(conn, parts)
    step_moves.reopen(conn, target.id, known & {step["name"] for step in made})
