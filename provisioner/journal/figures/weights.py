"""Weights: how much subjects claim, by which work on them is cut into commits of a moment.

A request of a line can take back, or close, what ten thousand users have. Leaves out: what is done
about them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, func, select

from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, cut
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
    if len(things) < 2:
        yield from ([thing] for thing in things)
        return
    weights = of(conn, {subject for thing in things if (subject := subject_of(thing))})
    yield from cut(things, lambda thing: weights.get(subject_of(thing) or "", 0), MOST)
