"""Standings: how subjects stand in the ledger, to compare a manifest with it.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. Leaves out: what a manifest does about it (`manifest`).
"""

from __future__ import annotations

from collections.abc import Collection

from provisioner.journal.journal import Connection
from provisioner.journal.queries import subjects as claiming
from provisioner.journal.records import request_rows
from provisioner.manifests.manifest import CAUSE, Standing
from provisioner.objects.states import OPEN


def of(conn: Connection, subjects: Collection[str], writer: str) -> dict[str, Standing]:
    """Return how each of some subjects stands.

    writer: the manifest's, whose suspensions count; all others are other writers.
    """
    held = claiming.claims_of(conn, subjects)
    placed = claiming.placed_by_others(conn, subjects, writer)
    suspended = claiming.suspended_by(conn, subjects, writer, CAUSE)
    # A claim that waits for a step of a finished request would wait for ever.
    waits = {claim.request for some in held.values() for claim in some if claim.want is None}
    states = request_rows.states_of(conn, waits)
    over = {request for request in waits if states.get(request) not in OPEN}
    stopped = request_rows.held_for(conn, writer)
    return {
        subject: Standing(
            tuple(some),
            suspended.get(subject),
            stopped.get(subject),
            any(claim.want is None and claim.request in over for claim in some),
            placed.get(subject, ()),
        )
        for subject, some in held.items()
    }
