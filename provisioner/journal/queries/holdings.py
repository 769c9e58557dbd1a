"""Holdings: what people have now, by the ledger, and who would lose some of it.

Promises: reads alone, inside the caller's transaction. Somebody has what was claimed for them and
read back as wanted at least once, whoever claims it for them now, unless it is suspended; what was
only ever asked for, as for a name that nobody bears, is nobody's. Leaves out: what a request takes
away (`review`, `reconcile`), and how many may lose something (`policy`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, or_, select

from provisioner.contract import Key, split_key
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.records import ledger
from provisioner.journal.schema import claims, objects, step_objects, suspensions
from provisioner.objects.losses import Pair, losing, people_of, person_of
from provisioner.objects.states import Adoption, StepState

# What was adopted and differs is not written, and whoever it is for has it as it is. What is there
# and only a waiting step claims is left as it is: they have it by that claim until it goes.
_MET = or_(
    claims.c.want.is_not(None)
    & ((objects.c.converged > 0) | (objects.c.adoption == Adoption.DIFFERS)),
    claims.c.want.is_(None)
    & (objects.c.converged > 0)
    & objects.c.prior.is_(None)
    & objects.c.state["present"].as_boolean(),
)
_PAIRS: Any = select(claims.c.key, claims.c.claimant)
_HAD: Any = _PAIRS.join(objects, objects.c.key == claims.c.key).where(_MET)
_UNWRITTEN = (objects.c.converged > 0) & (objects.c.converged < objects.c.generation)
_WAS: Any = (
    select(step_objects.c.key, step_objects.c.claimant)
    .where(step_objects.c.key.in_(IDS), step_objects.c.state == StepState.DONE)
    .distinct()
)
_HAD_OF = _HAD.where(claims.c.key.in_(IDS))


def claimed(conn: Connection, subjects: Collection[str]) -> set[Pair]:
    """List the claims that a suspension of some subjects would close."""
    found: set[Pair] = set()
    for part in chunks(subjects):
        found.update((key, who) for key, who in conn.execute(_PAIRS.where(_about(part))))
    return found


def losers(
    conn: Connection,
    going: Collection[Pair],
    coming: Collection[Pair] = (),
    taken: Collection[Pair] = (),
) -> set[str]:
    """Name the people who would lose something, as `user:NAME`.

    going: claims that would be taken back or closed; coming: claims that would be made with it;
    taken: claims that go in any case.
    """
    gone = _had(conn, set(going))
    if not gone:
        return set()
    keys = {key for key, _ in gone}
    left = ledger.pairs(conn, keys).difference(going, taken)
    left |= {pair for pair in coming if pair[0] in keys}
    whole = {claimant for _, claimant in gone if person_of(claimant) is None}
    return losing(gone, _open(conn, left), people_of(_had_by(conn, whole)))


def unwritten(conn: Connection) -> set[str]:
    """Name the people who have something in the backends that they lose once these are written.

    So it is while the service only observes: what was taken back or closed since is there still.
    """
    keys = set(conn.scalars(select(objects.c.key).where(_UNWRITTEN)))
    had: set[Pair] = set()
    for part in chunks(keys):
        had.update((key, who) for key, who in conn.execute(_WAS, {"b_ids": part}))
    claimed_now = ledger.pairs(conn, keys)
    had |= claimed_now
    staying = _open(conn, claimed_now)
    return losing(had - staying, staying, people_of(had))


def left(conn: Connection, going: Collection[Pair], coming: Collection[Pair]) -> dict[Key, Key]:
    """Say which objects nobody would claim any more as their claimant wants another of the kind.

    going, coming: as in `losers`. What was never as wanted is left out; a suspended one is not.
    """
    instead = {(who, *split_key(key)[:2]): key for key, who in coming if (key, who) not in going}
    moved = {
        key: instead[who, *split_key(key)[:2]]
        for key, who in going
        if person_of(who) is None and (who, *split_key(key)[:2]) in instead
    }
    made: set[Key] = set()
    for part in chunks(moved):
        made.update(key for key, _ in conn.execute(_HAD_OF, {"b_ids": part}))
    kept = {key for key, _ in ledger.pairs(conn, made).difference(going)}
    return {key: moved[key] for key in sorted(made - kept - {key for key, _ in coming})}


def people(conn: Connection) -> set[str]:
    """Name everybody who has something now, as `user:NAME`."""
    closing = suspensions.c.subject.in_([claims.c.root, claims.c.leaf, claims.c.claimant])
    statement = (
        select(claims.c.leaf)
        .join(objects, objects.c.key == claims.c.key)
        .where(claims.c.leaf >= "user:", claims.c.leaf < "user;", _MET)
        .where(~select(suspensions.c.subject).where(closing).exists())
        .distinct()
    )
    return set(conn.scalars(statement))


def _had(conn: Connection, pairs: set[Pair]) -> set[Pair]:
    """Choose the claims by which somebody has something now."""
    found: set[Pair] = set()
    for part in chunks({key for key, _ in pairs}):
        found.update((key, who) for key, who in conn.execute(_HAD_OF, {"b_ids": part}))
    return _open(conn, found & pairs)


def _had_by(conn: Connection, subjects: Collection[str]) -> set[Pair]:
    """List what is had now through whole subjects."""
    found: set[Pair] = set()
    for part in chunks(subjects):
        rows = conn.execute(_HAD.where(claims.c.root.in_(part)))
        found.update((key, who) for key, who in rows)
    return _open(conn, found)


def _about(subjects: Collection[str]) -> Any:
    """Match the claims of subjects, of all that lies in them, and those for a person."""
    roots = [name.partition("/")[0] for name in subjects if "/" in name]
    nested = claims.c.root.in_(roots) & claims.c.claimant.in_(subjects)
    return or_(claims.c.root.in_(subjects), claims.c.leaf.in_(subjects), nested)


def _open(conn: Connection, pairs: set[Pair]) -> set[Pair]:
    """Leave out what is suspended."""
    closed = ledger.suspended_parts(conn, {claimant for _, claimant in pairs})
    return {pair for pair in pairs if pair[1] not in closed}
