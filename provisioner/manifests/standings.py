"""Standings: how subjects stand in the ledger, to compare a manifest with it.

Promises: reads only, inside the caller's transaction, and only what is asked for, however large the
ledger is. Leaves out: what a manifest does about it (`manifest`).
"""

from __future__ import annotations

from collections.abc import Collection

from provisioner.journal.dialect import folded
from provisioner.journal.journal import Connection
from provisioner.journal.persons import askers
from provisioner.journal.queries import history
from provisioner.journal.queries import subjects as claiming
from provisioner.journal.records import request_rows
from provisioner.manifests.manifest import CAUSE, Moment, Standing
from provisioner.objects.states import OPEN
from provisioner.request import crowds
from provisioner.system.ulid import RequestId


def of(
    conn: Connection, subjects: Collection[str], writer: str, moment: Moment
) -> dict[str, Standing]:
    """Return how each of some subjects stands.

    writer: the manifest's, whose suspensions count; all others are other writers; moment: from
    which the manifest counts.
    """
    held = claiming.claims_of(conn, subjects)
    placed = claiming.placed_by_others(conn, subjects, writer)
    suspended = claiming.suspended_by(conn, subjects, writer, CAUSE)
    said: dict[str, list[RequestId]] = {folded(subject): [] for subject in subjects}
    for request, subject in history.asked_since(conn, writer, moment.least):
        later = moment.is_later(request) and moment.followed.get(request) != moment.id
        if later and subject in said:
            said[subject].append(request)
    asking = askers.of(conn, subjects)
    left_out = {
        suspension.subject
        for suspension in claiming.suspensions_of(conn, [name for name in subjects if asking[name]])
        if suspension.cause == CAUSE and suspension.source != writer
    }
    states = request_rows.states_of(conn, {c.request for some in held.values() for c in some})
    is_open = [request for request, state in states.items() if state in OPEN]
    waiting = {
        request: crowds.whole(record.body, record.listed)
        for request, record in request_rows.load(conn, is_open).items()
    }
    ends = {end.subject: end.at for end in claiming.ends_of(conn, subjects)}
    stopped = request_rows.held_for(conn, writer)
    return {
        subject: Standing(
            tuple(some),
            suspended.get(subject),
            stopped.get(folded(subject)),
            # A claim that waits for a step of a finished request would wait for ever.
            any(claim.want is None and claim.request not in waiting for claim in some),
            placed.get(subject, ()),
            {name: waiting[name] for name in {c.request for c in some} & waiting.keys()},
            ends.get(subject),
            subject in left_out,
            asking[subject],
            tuple(said[folded(subject)]),
        )
        for subject, some in held.items()
    }
