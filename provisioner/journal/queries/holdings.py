"""Holdings: what people have now according to the ledger, and who would lose some of it.

Promises: it only reads, inside the caller's transaction. People have what is claimed for them and
was read back as wanted at least once, unless it is suspended. It does not matter who claims it now.
Something that was never made, such as an account for a name that does not exist, is nobody's.
Leaves out: what a request takes away (`review`, `reconcile`), and how many people may lose
something (`policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, or_, select

from provisioner.contract import Claim, Key, Want, split_key
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks
from provisioner.journal.records import ledger
from provisioner.journal.schema import claims, in_state, objects, step_objects, steps, suspensions
from provisioner.objects.losses import (
    Nature,
    Pair,
    Shift,
    losing,
    people_of,
    person_of,
    shutting,
)
from provisioner.objects.states import Adoption, StepState
from provisioner.system.ulid import RequestId

# An adopted object that differs is not written, and its people have it as it is. An existing object
# that only a waiting step claims stays unchanged, and that claim keeps it for its people.
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
    .where(step_objects.c.key.in_(IDS), in_state(StepState.DONE))
    .distinct()
)
_OF_ROUTES: Any = _WAS.join(
    steps, (steps.c.request == step_objects.c.request) & (steps.c.name == step_objects.c.step)
).where(steps.c.routed)
"""Without those who only had an object looked at, closed or opened."""
_HAD_OF = _HAD.where(claims.c.key.in_(IDS))
_CONTESTED: Any = (
    select(claims.c.key)
    .where(claims.c.key.in_(IDS))
    .group_by(claims.c.key)
    .having(func.count() > 1)
)
_OTHER = claims.alias()
_NOW = select(claims.c.key, claims.c.claimant, claims.c.want, claims.c.request).where(
    claims.c.key.in_(IDS)
)
_SHARED: Any = (
    select(_OTHER.c.claimant)
    .join(claims, claims.c.key == _OTHER.c.key)
    .where(ledger.of_claimants(claims), _OTHER.c.claimant == _OTHER.c.root)
    .where(~_OTHER.c.root.startswith("user:"))
    .distinct()
)


def contested(conn: Connection, keys: Collection[Key]) -> list[Key]:
    """List the objects that several claims are on."""
    return [key for (key,) in bulk.among(conn, _CONTESTED, keys)]


def claimed(conn: Connection, subjects: Collection[str]) -> set[Pair]:
    """Return the claims that a suspension of some subjects would close."""
    pairs: set[Pair] = set()
    for part in chunks(subjects):
        pairs.update((key, claimant) for key, claimant in conn.execute(_PAIRS.where(_about(part))))
    return pairs


def everybody(conn: Connection, subjects: Collection[str]) -> set[str]:
    """Return the people for whom some subjects claim anything, as `user:NAME`."""
    people: set[str] = set()
    for part in chunks(subjects):
        people.update(conn.scalars(select(claims.c.leaf).where(_about(part)).distinct()))
    return {person for person in people if person.startswith("user:")}


ClaimsOf = Callable[[Collection[Key]], Mapping[Key, tuple[Claim, ...]]]
"""Returns the claims on objects, as `ledger.claims_of`."""


def losers(
    conn: Connection,
    shift: Shift,
    allowed: Shift | None = None,
    nature: Nature | None = None,
    claims_of: ClaimsOf | None = None,
) -> set[str]:
    """Return the people who would lose something, as `user:NAME`.

    allowed: what happens to claims in any case; nature: what handlers know, None for nothing;
    claims_of: knows some claims already, None for the ledger.
    """
    allowed, nature = allowed or Shift(), nature or Nature()
    read = claims_of or partial(ledger.claims_of, conn)
    return _deprived(conn, shift, allowed, nature) | _shut_out(conn, shift, allowed, nature, read)


def _deprived(conn: Connection, shift: Shift, allowed: Shift, nature: Nature) -> set[str]:
    """Return the people who have an object now that nobody would keep claimed for them."""
    gone = _had(conn, set(shift.going))
    if not gone:
        return set()
    keys = {key for key, _ in gone}
    left = ledger.pairs(conn, keys).difference(shift.going, allowed.going)
    left |= {pair for pair in shift.coming if pair[0] in keys}
    staying = _open(conn, left)
    whole = {claimant for _, claimant in gone if person_of(claimant) is None}
    lost = keys - {key for key, _ in staying}
    found = losing(gone, staying, people_of(_had_by(conn, whole)))
    return found | _beside(conn, {pair for pair in gone if pair[0] in lost}, nature)


def _shut_out(
    conn: Connection, shift: Shift, allowed: Shift, nature: Nature, read: ClaimsOf
) -> set[str]:
    """Return the people who keep an object, but would be shut out of it."""
    keys = {key for key, _ in (*shift.going, *shift.coming) if nature.can_shut(key)}
    if not keys:
        return set()
    now = read(keys)
    if not now:
        return set()
    closed = ledger.suspended_parts(conn, {who for key, who in shift.coming if key in now})
    opened = {pair: want for pair, want in shift.coming.items() if pair[1] not in closed}
    shut = shutting(now, allowed, Shift(shift.going, opened), nature)
    had = _had(conn, {(key, one.claimant) for key in shut for one in now[key]})
    whole = {claimant for _, claimant in had if person_of(claimant) is None}
    found = losing(had, (), people_of(_had_by(conn, whole)))
    return found | _beside(conn, had, nature)


def _beside(conn: Connection, lost: Collection[Pair], nature: Nature) -> set[str]:
    """Return who reaches the data in lost objects by another subject, such as a project's group.

    That other subject claims some of the same objects as the one that loses them.
    """
    whole = {subject for key, subject in lost if person_of(subject) is None and nature.stores(key)}
    subjects: set[str] = set()
    for part in chunks(whole):
        subjects.update(conn.scalars(_SHARED, ledger.named(part)))
    return {person for some in people_of(_had_by(conn, subjects)).values() for person in some}


def unwritten(conn: Connection) -> set[str]:
    """Return the people who have something in the backends that the next writes take away.

    While the service only observes, claims that were taken back or closed leave the object there.
    """
    keys = set(conn.scalars(select(objects.c.key).where(_UNWRITTEN)))
    had: set[Pair] = set()
    for part in chunks(keys):
        had.update((key, who) for key, who in conn.execute(_WAS, {"b_ids": part}))
    claimed_now = ledger.pairs(conn, keys)
    had |= claimed_now
    staying = _open(conn, claimed_now)
    return losing(had - staying, staying, people_of(had))


def closing(conn: Connection, keys: Collection[Key]) -> set[str]:
    """Return who would lose something if objects that no claim wants open were closed.

    Somebody opened them behind the service's back, or made them again. If it is not known who used
    a shared object, its claimant counts for them; if nobody is known, the object.
    """
    had: set[Pair] = set()
    for part in chunks(keys):
        had.update((key, who) for key, who in conn.execute(_OF_ROUTES, {"b_ids": part}))
    claimed_now = ledger.pairs(conn, keys)
    open_still = {key for key, _ in _open(conn, claimed_now)}
    gone = {pair for pair in had | claimed_now if pair[0] not in open_still}
    whole = {claimant for _, claimant in gone if person_of(claimant) is None}
    people = people_of({*gone, *_claims_within(conn, whole)})
    unknown = {claimant for claimant in whole if claimant not in people}
    unknown |= {key for key in keys if key not in open_still} - {key for key, _ in gone}
    return losing(gone, (), people) | unknown


def _claims_within(conn: Connection, subjects: Collection[str]) -> set[Pair]:
    """Return the claims of subjects, and of all inside them, suspended or not."""
    pairs: set[Pair] = set()
    for part in chunks({subject.partition("/")[0] for subject in subjects}):
        rows = conn.execute(_PAIRS.where(claims.c.root.in_(part)))
        pairs.update((key, claimant) for key, claimant in rows)
    return pairs


def left(conn: Connection, going: Collection[Pair], coming: Collection[Pair]) -> dict[Key, Key]:
    """Return the objects that nobody would claim any more, each with its replacement.

    The claimant wants another object of the same kind instead. going, coming: as in `losers`. An
    object that was never as wanted is left out; a suspended one is not.
    """
    instead = {
        (claimant, *split_key(key)[:2]): key
        for key, claimant in coming
        if (key, claimant) not in going
    }
    moved = {
        key: instead[claimant, *split_key(key)[:2]]
        for key, claimant in going
        if person_of(claimant) is None and (claimant, *split_key(key)[:2]) in instead
    }
    made: set[Key] = set()
    for part in chunks(moved):
        made.update(key for key, _ in conn.execute(_HAD_OF, {"b_ids": part}))
    kept = {key for key, _ in ledger.pairs(conn, made).difference(going)}
    return {key: moved[key] for key in sorted(made - kept - {key for key, _ in coming})}


def people(conn: Connection) -> set[str]:
    """Return everybody who has something now, as `user:NAME`."""
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
    """Return those claims by which somebody has something now."""
    had: set[Pair] = set()
    for part in chunks({key for key, _ in pairs}):
        had.update((key, claimant) for key, claimant in conn.execute(_HAD_OF, {"b_ids": part}))
    return _open(conn, had & pairs)


def _had_by(conn: Connection, subjects: Collection[str]) -> set[Pair]:
    """Return what people have now through whole subjects."""
    had: set[Pair] = set()
    for part in chunks(subjects):
        rows = conn.execute(_HAD.where(claims.c.root.in_(part)))
        had.update((key, claimant) for key, claimant in rows)
    return _open(conn, had)


def _about(subjects: Collection[str]) -> Any:
    """Match the claims of subjects, of all inside them, and those for a person."""
    roots = [name.partition("/")[0] for name in subjects if "/" in name]
    nested = claims.c.root.in_(roots) & claims.c.claimant.in_(subjects)
    return or_(claims.c.root.in_(subjects), claims.c.leaf.in_(subjects), nested)


def _open(conn: Connection, pairs: set[Pair]) -> set[Pair]:
    """Return the claims that are not suspended."""
    closed = ledger.suspended_parts(conn, {claimant for _, claimant in pairs})
    return {pair for pair in pairs if pair[1] not in closed}


def claims_now(
    conn: Connection, keys: Collection[Key]
) -> dict[Key, dict[str, tuple[Want | None, RequestId]]]:
    """Return the want and request of each claim on some objects, by claimant."""
    held: dict[Key, dict[str, tuple[Want | None, RequestId]]] = {}
    for key, claimant, want, request in bulk.among(conn, _NOW, keys):
        held.setdefault(key, {})[claimant] = (want, request)
    return held


def left_behind(conn: Connection, keys: Collection[Key]) -> list[Key]:
    """Return those objects that nobody claims, and that stay in the backend as intended."""
    kept: list[Key] = []
    for part in chunks(keys):
        unclaimed = ~select(claims.c.key).where(claims.c.key == objects.c.key).exists()
        settled = objects.c.converged == objects.c.generation
        there = select(objects.c.key, objects.c.state).where(
            objects.c.key.in_(part), unclaimed, settled
        )
        kept += [key for key, state in conn.execute(there) if (state or {}).get("present")]
    return kept
