"""Standings: how subjects stand in the ledger, for a manifest that is compared with it.

Promises: reads only, inside the caller's transaction, and as much as is asked for, however much the
ledger has. Leaves out: what a manifest makes of it (`manifest`).
"""

from __future__ import annotations

from collections.abc import Collection

from provisioner.journal.journal import Connection
from provisioner.journal.queries import subjects as claiming
from provisioner.journal.records import request_rows
from provisioner.manifests.manifest import CAUSE, Standing
from provisioner.objects.states import OPEN


def of(conn: Connection, subjects: Collection[str], writer: str) -> dict[str, Standing]:
    """Say how each of some subjects stands; writer: whose suspensions count,
    and who is no other writer."""
    held = claiming.claims_of(conn, subjects)
    placed = claiming.placed_by_others(conn, subjects, writer)
    suspended = claiming.suspended_by(conn, subjects, writer, CAUSE)
    # What waits for a step of a request that is over would wait for ever.
    waits = {one.request for some in held.values() for one in some if one.want is None}
    states = request_rows.states_of(conn, waits)
    over = {who for who in waits if states.get(who) not in OPEN}
    stopped = request_rows.held_for(conn, writer)
    return {
        subject: Standing(
            tuple(some),
            suspended.get(subject),
            stopped.get(subject),
            any(one.want is None and one.request in over for one in some),
            placed.get(subject, ()),
        )
        for subject, some in held.items()
    }
