"""Holdings: what people have now, by the ledger.

Promises: reads alone, inside the caller's transaction. Somebody has what was claimed for them and
read back as wanted at least once, unless it is suspended; what was only ever asked for, as for a
name that nobody bears, is nobody's. Leaves out: who loses what (`losses`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, or_, select

from provisioner import agenda, ledger
from provisioner.contract import Key
from provisioner.losses import Pair
from provisioner.tables import chunks, claims, objects, suspensions

# What was adopted and differs is not written, and whoever it is for has it as it is.
_MET = (objects.c.converged > 0) | (objects.c.found == agenda.DIFFERS)
_HAD: Any = (
    select(claims.c.key, claims.c.claimant)
    .join(objects, objects.c.key == claims.c.key)
    .where(claims.c.want.is_not(None), _MET)
)


def of_subjects(conn: Connection, subjects: Collection[str]) -> set[Pair]:
    """List what is had now through claims of subjects and of all that lies in them.

    subjects: as requests name them; `user:NAME` is for what others claim for the person, too.
    """
    found: set[Pair] = set()
    for part in chunks(subjects):
        roots = [name.partition("/")[0] for name in part if "/" in name]
        nested = claims.c.root.in_(roots) & claims.c.claimant.in_(part)
        of = or_(claims.c.root.in_(part), claims.c.leaf.in_(part), nested)
        found.update((key, who) for key, who in conn.execute(_HAD.where(of)))
    return _open(conn, found)


def left_on(conn: Connection, keys: Collection[Key]) -> set[Pair]:
    """List the claims on objects that keep them open, be it for later."""
    return _open(conn, ledger.pairs(conn, keys))


def people(conn: Connection) -> set[str]:
    """Name everybody who has something now."""
    closed = select(suspensions.c.subject).where(
        suspensions.c.subject.in_([claims.c.root, claims.c.leaf, claims.c.claimant])
    )
    statement = (
        select(claims.c.leaf.distinct())
        .join(objects, objects.c.key == claims.c.key)
        .where(
            claims.c.leaf >= "user:",
            claims.c.leaf < "user;",
            claims.c.want.is_not(None),
            _MET,
            ~closed.exists(),
        )
    )
    return set(conn.scalars(statement))


def _open(conn: Connection, pairs: set[Pair]) -> set[Pair]:
    """Leave out what is suspended."""
    closed = ledger.suspended_parts(conn, {claimant for _, claimant in pairs})
    return {pair for pair in pairs if pair[1] not in closed}
