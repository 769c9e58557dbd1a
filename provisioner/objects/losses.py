"""Losses: who loses something by a change of claims.

Promises: pure. The same people are found, each once, however a request changes claims: only those
who have an object now and nobody leaves it to them, or who are shut out of it. Leaves out: what
people have now (`holdings`), and how many are too many (`policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field

from provisioner.contract import Claim, Key, Want, split_key
from provisioner.plain.values import value

Pair = tuple[Key, str]
"""A claim: an object, and its claimant."""

_NEWEST = "~"
"""The order of a claim that is not made yet: it sorts after the ids of all requests."""


@value(frozen=True, slots=True)
class Shift:
    """A change of claims.

    going: those that would be taken back or closed; coming: those that would be made or kept, each
    with its want. None: the want is unknown, and the present one stays.
    """

    going: AbstractSet[Pair] = frozenset()
    coming: Mapping[Pair, Want | None] = field(default_factory=dict)


def _not(key: Key) -> bool:
    return False


def _never(key: Key, before: Sequence[Claim], after: Sequence[Claim]) -> bool:
    return False


@value(frozen=True, slots=True)
class Nature:
    """What handlers know about their objects.

    stores: whether an object holds people's data; shutting: instances whose objects can shut people
    out while they are open; shuts: whether an object does so with other claims, see
    `abilities.Shuts`.
    """

    stores: Callable[[Key], bool] = _not
    shutting: frozenset[str] = frozenset()
    shuts: Callable[[Key, Sequence[Claim], Sequence[Claim]], bool] = _never

    def can_shut(self, key: Key) -> bool:
        """Return True if an object can shut people out while it is open."""
        return split_key(key)[0] in self.shutting


def person_of(claimant: str) -> str | None:
    """Return the person for whom a claim is, as `user:NAME`; None if it is for a whole subject."""
    leaf = claimant.rpartition("/")[2]
    return leaf if leaf.startswith("user:") else None


def people_of(pairs: Collection[Pair]) -> dict[str, set[str]]:
    """Return the people of each subject for whom some of the claims are."""
    people: dict[str, set[str]] = {}
    for _, claimant in pairs:
        person = person_of(claimant)
        if person is not None:
            people.setdefault(claimant.partition("/")[0], set()).add(person)
    return people


def losing(
    gone: Collection[Pair], left: Collection[Pair], people: Mapping[str, Collection[str]]
) -> set[str]:
    """Return the people who lose something.

    gone: claims through which somebody has an object now, and that go or are closed; left: claims
    on those objects that stay or come; people: who has something of each subject now, by
    `people_of`. A personal object, such as a membership, is lost unless a claim for the same person
    is left. A shared object, such as a fileset, is lost to all its people unless any claim is left.
    """
    kept = {(key, person_of(claimant)) for key, claimant in left}
    open_still = {key for key, _ in kept}
    losers: set[str] = set()
    for key, claimant in gone:
        person = person_of(claimant)
        if person is None:
            if key not in open_still:
                losers.update(people.get(claimant, ()))
        elif (key, person) not in kept:
            losers.add(person)
    return losers


def shutting(
    now: Mapping[Key, Sequence[Claim]], allowed: Shift, shift: Shift, nature: Nature
) -> set[Key]:
    """Return the objects that stay open and shut people out by their new wants.

    now: the present claims on objects; allowed: what happens to these in any case.
    """
    fresh: dict[Key, list[Claim]] = {}
    here = {(key, claim.claimant) for key, claims in now.items() for claim in claims}
    for (key, claimant), want in shift.coming.items():
        if key in now and want is not None and (key, claimant) not in here:
            fresh.setdefault(key, []).append(Claim(claimant, want, order=_NEWEST))
    shutting = set()
    for key, claims in now.items():
        before = _after(key, claims, allowed)
        after = [*_after(key, before, shift), *fresh.get(key, ())]
        if after == before or not _open(before) or not _open(after):
            continue
        if nature.shuts(key, before, after):
            shutting.add(key)
    return shutting


def _after(key: Key, claims: Sequence[Claim], shift: Shift) -> list[Claim]:
    """Return the claims on an object that stay, with their new wants."""
    after = []
    for claim in claims:
        pair = (key, claim.claimant)
        want = shift.coming.get(pair)
        if want is not None and want != claim.want:
            after.append(Claim(claim.claimant, want, claim.suspended, claim.source, _NEWEST))
        elif pair not in shift.going:
            after.append(claim)
    return after


def _open(claims: Sequence[Claim]) -> bool:
    return any(not one.suspended for one in claims)
