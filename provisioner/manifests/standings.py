"""Standings: how subjects stand in the ledger, for a manifest that is compared with it.

Promises: reads only, inside the caller's transaction, and as much as is asked for, however much the
ledger has. Leaves out: what a manifest makes of it (`manifest`).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from provisioner.contract import Key
from provisioner.journal.records import request_rows
from provisioner.journal.records.ledger import Held
from provisioner.journal.schema import IDS, chunks, claims, suspensions
from provisioner.manifests.manifest import CAUSE, Standing
from provisioner.objects.states import OPEN

_CLAIMS = select(
    claims.c.key, claims.c.claimant, claims.c.want, claims.c.request, claims.c.source
).where(claims.c.root.in_(IDS))
_KEYS = select(claims.c.key).where(claims.c.root.in_(IDS)).distinct()


def of(conn: Connection, subjects: Collection[str], writer: str) -> dict[str, Standing]:
    """Say how each of some subjects stands; writer: whose suspensions count."""
    held: dict[str, list[Held]] = {subject: [] for subject in subjects}
    suspended: dict[str, str] = {}
    for part in chunks(subjects):
        for row in conn.execute(_CLAIMS, {"b_ids": part}):
            held[row.claimant.partition("/")[0]].append(Held(*row))
        found = conn.execute(
            select(suspensions.c.subject, suspensions.c.request).where(
                suspensions.c.subject.in_(part),
                suspensions.c.source == writer,
                suspensions.c.cause == CAUSE,
            )
        )
        suspended.update({row.subject: row.request for row in found})
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
        )
        for subject, some in held.items()
    }


def subjects_after(conn: Connection, kind: str, last: str, limit: int) -> list[str]:
    """List subjects of a kind that claim something, in order, from behind one on."""
    statement = (
        select(claims.c.root)
        .where(claims.c.root > max(last, f"{kind}:"), claims.c.root < f"{kind};")
        .distinct()
        .order_by(claims.c.root)
        .limit(limit)
    )
    return list(conn.scalars(statement))


def keys_of(conn: Connection, subjects: Collection[str]) -> set[Key]:
    """Name the objects that some subjects claim."""
    found: set[Key] = set()
    for part in chunks(subjects):
        found.update(conn.scalars(_KEYS, {"b_ids": part}))
    return found
