"""Rehearsal: what a verb would do to claims, found by doing it and rolling it back.

Promises: nothing of it stays, neither in the journal nor in its redo log. Leaves out: who would
lose something (`holdings`).
"""

from __future__ import annotations

from provisioner.contract import Fault, Want
from provisioner.controls.effects import Command
from provisioner.controls.verbs import VERBS, named
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries import lookup
from provisioner.journal.records import ledger
from provisioner.objects.losses import Pair, Shift, people_of

CHANGING = ("request.cancel", "request.hold", "request.release")
"""Actions that change the claims of the request that they steer."""


def changed(book: Journal, conn: Connection, command: Command) -> Shift:
    """Return the change of claims that a verb on a request would make.

    command: with an action on a request; if that would be refused, nothing changes.
    """
    try:
        target = lookup.find(conn, named(command.request), command.seeker)
    except Fault:
        return Shift()
    before = _claims(conn, target.subject)
    if not people_of(before.keys()):
        return Shift()
    with book.rehearsal(conn):
        try:
            VERBS[command.request.action](conn, command)
        except Fault:
            return Shift()
        after = _claims(conn, target.subject)
    coming = {p: want for p, want in after.items() if p not in before or want != before[p]}
    return Shift(before.keys() - after.keys(), coming)


def _claims(conn: Connection, subject: str) -> dict[Pair, Want | None]:
    pairs = ledger.claimed(conn, [subject])[subject]
    counted = ledger.claims_of(conn, {key for key, _ in pairs})
    wants = {(key, one.claimant): one.want for key, some in counted.items() for one in some}
    return {pair: wants.get(pair) for pair in pairs}
