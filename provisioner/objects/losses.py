"""Losses: who loses something by a change of claims.

Promises: pure; whichever request changes claims, and however, the same people are found: each
once, and only who has a thing now and has it from nobody afterwards, or is shut out of it. Leaves
out: what people have now (`holdings`), and how many are too many (`policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from provisioner.contract import Claim, Key, Want, split_key

Pair = tuple[Key, str]
"""A claim: an object, and who claims it."""

_NEWEST = "~"
"""The order of a claim that is not made yet: it sorts behind the ids of all requests."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What would become of claims.

    going: those that would be taken back or closed; coming: those that would be made or kept, each
    with what it would want. None: that is not known, and what is wanted by it now stays.
    """

    going: AbstractSet[Pair] = frozenset()
    coming: Mapping[Pair, Want | None] = field(default_factory=dict)


def _not(key: Key) -> bool:
    return False


def _never(key: Key, before: Sequence[Claim], after: Sequence[Claim]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Nature:
    """What handlers say of their objects.

    stores: whether people's data lie in one; shutting: instances whose objects can shut people out
    while they are open; shuts: whether one does by other claims, see `abilities.Shuts`.
    """

    stores: Callable[[Key], bool] = _not
    shutting: frozenset[str] = frozenset()
    shuts: Callable[[Key, Sequence[Claim], Sequence[Claim]], bool] = _never

    def can_shut(self, key: Key) -> bool:
        """Return True if an object can shut people out while it is open."""
        return split_key(key)[0] in self.shutting


def person_of(claimant: str) -> str | None:
    """Name the person whom a claim is for, as `user:NAME`; None: it is for all of a subject's."""
    leaf = claimant.rpartition("/")[2]
    return leaf if leaf.startswith("user:") else None


def people_of(pairs: Collection[Pair]) -> dict[str, set[str]]:
    """Name the people of each subject, as far as some claims are for them."""
    found: dict[str, set[str]] = {}
    for _, claimant in pairs:
        person = person_of(claimant)
        if person is not None:
            found.setdefault(claimant.partition("/")[0], set()).add(person)
    return found


def losing(
    gone: Collection[Pair], left: Collection[Pair], people: Mapping[str, Collection[str]]
) -> set[str]:
    """Name the people who lose something.

    gone: claims through which somebody has an object now, and that go or are closed; left: claims
    on those objects that stay or come; people: who has something of each subject now, by
    `people_of`. What is a person's alone, as a membership, is lost unless it is left to the same
    person; what all of a subject share, as a fileset, is lost to all of them unless anybody is left
    who wants it.
    """
    kept = {(key, person_of(claimant)) for key, claimant in left}
    open_still = {key for key, _ in kept}
    found: set[str] = set()
    for key, claimant in gone:
        person = person_of(claimant)
        if person is None:
            if key not in open_still:
                found.update(people.get(claimant, ()))
        elif (key, person) not in kept:
            found.add(person)
    return found


def shutting(
    now: Mapping[Key, Sequence[Claim]], allowed: Shift, shift: Shift, nature: Nature
) -> set[Key]:
    """Name the objects that stay open, and shut people out by what would be wanted of them.

    now: the claims on objects as they are; allowed: what becomes of them before.
    """
    fresh: dict[Key, list[Claim]] = {}
    for (key, who), want in shift.coming.items():
        if key in now and want is not None and all(who != one.claimant for one in now[key]):
            fresh.setdefault(key, []).append(Claim(who, want, order=_NEWEST))
    found = set()
    for key, claims in now.items():
        before = _after(key, claims, allowed)
        after = [*_after(key, before, shift), *fresh.get(key, ())]
        if after == before or not _open(before) or not _open(after):
            continue
        if nature.shuts(key, before, after):
            found.add(key)
    return found


def _after(key: Key, claims: Sequence[Claim], shift: Shift) -> list[Claim]:
    """Return the claims on an object that stay, each as it would be."""
    found = []
    for one in claims:
        pair = (key, one.claimant)
        want = shift.coming.get(pair)
        if want is not None and want != one.want:
            found.append(Claim(one.claimant, want, one.suspended, one.source, _NEWEST))
        elif pair not in shift.going:
            found.append(one)
    return found


def _open(claims: Sequence[Claim]) -> bool:
    return any(not one.suspended for one in claims)
