"""Weights: how much subjects claim, by which work on them is cut into commits of a moment.

A request of a line can take back, or close, what ten thousand users have. Leaves out: what is done
about them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, func, select

from provisioner.journal import bulk
from provisioner.journal.dialect import IDS
from provisioner.journal.schema import claims

MOST = 5_000
"""The claims of subjects that are dealt with at once, unless one alone has more."""

_ROOTS, _LEAVES = (
    select(column, func.count()).where(column.in_(IDS)).group_by(column)
    for column in (claims.c.root, claims.c.leaf)
)

Thing = TypeVar("Thing")


def of(conn: Connection, subjects: Collection[str]) -> dict[str, int]:
    """Count the claims of subjects, and those that others make for them; most times in an index."""
    weights = dict.fromkeys(subjects, 0)
    for statement in (_ROOTS, _LEAVES):
        for subject, number in bulk.among(conn, statement, weights):
            weights[subject] += number
    return weights


def light(
    conn: Connection, things: Sequence[Thing], subject_of: Callable[[Thing], str | None]
) -> Iterator[list[Thing]]:
    """Cut things, in their order, so that the subjects of each part claim no more than `MOST`.

    What claims more is alone. subject_of: returns whose claims a thing is about; None for nobody's.
    """
    named = [subject_of(thing) for thing in things]
    weights = of(conn, {subject for subject in named if subject}) if len(things) > 1 else {}
    some: list[Thing] = []
    weight = 0
    for thing, subject in zip(things, named, strict=True):
        more = weights.get(subject or "", 0)
        if some and weight + more > MOST:
            yield some
            some, weight = [], 0
        some.append(thing)
        weight += more
    if some:
        yield some
