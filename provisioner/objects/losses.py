"""Losses: who loses something by a change of claims.

Promises: pure; whichever request changes claims, and however, the same people are found: each
once, and only who has a thing now and has it from nobody afterwards. Leaves out: what people have
now (`holdings`), and how many are too many (`policy`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provisioner.contract import Key

Pair = tuple[Key, str]
"""A claim: an object, and who claims it."""


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
