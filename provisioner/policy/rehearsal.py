"""Rehearsal: which claims go or come when a request is steered, by doing it and taking it back.

Promises: nothing of it stays, in the journal or in its redo log. Leaves out: who loses something by
it (`holdings`).
"""

from __future__ import annotations

from provisioner.contract import Fault
from provisioner.controls.verbs import VERBS, Asked, named
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries import lookup
from provisioner.journal.records import ledger
from provisioner.objects.losses import Pair, people_of

CHANGING = ("request.cancel", "request.hold", "request.release")
"""Actions that change the claims of the request that they steer."""


def changed(book: Journal, conn: Connection, asked: Asked) -> tuple[set[Pair], set[Pair]]:
    """Say which claims would go, and which would come, by what steers a request.

    asked: of an action on a request; where it would be refused nothing goes or comes.
    """
    try:
        target = lookup.find(conn, named(asked.request), asked.seeker)
    except Fault:
        return set(), set()
    before = _claims(conn, target.subject)
    if not people_of(before):
        return set(), set()
    with book.rehearsal(conn):
        try:
            VERBS[asked.request.action](conn, asked)
        except Fault:
            return set(), set()
        after = _claims(conn, target.subject)
    return before - after, after - before


def _claims(conn: Connection, subject: str) -> set[Pair]:
    return ledger.claimed(conn, [subject])[subject]
