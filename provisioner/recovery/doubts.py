"""Doubts: by how much the time of day may be ahead of the true one, after jumps forward.

Promises: pure. Every jump forward is doubted for a day by a clock that nobody can set, whatever
jumps follow it; only a jump back ends a doubt earlier, by as much as it goes back. So the time
without what is doubted never runs ahead of one that really passed, until a clock has kept to what
it says for a day. Leaves out: noticing jumps (`clock`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

HELD = 86400.0
"""Seconds for which a jump forward is doubted, at least."""

_TOGETHER = 3600.0
"""Seconds: doubts that end within the same ones are one, so that a day never has many."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A jump forward. by: seconds, above 0; until: when it is believed, by the steady clock."""

    by: float
    until: float


Doubts = tuple[Doubt, ...]
"""What is doubted, the one that ends first at the beginning."""


def after(doubts: Doubts, by: float, steady: float) -> Doubts:
    """Return what is doubted after a jump. by: seconds, negative for back; steady: the time now."""
    left = [doubt for doubt in doubts if doubt.until > steady]
    if by > 0:
        until = math.ceil((steady + HELD) / _TOGETHER) * _TOGETHER
        same = sum(doubt.by for doubt in left if doubt.until == until)
        return (*(doubt for doubt in left if doubt.until != until), Doubt(by + same, until))
    back, kept = -by, []
    for doubt in left:  # what is left of several stays in doubt for as long as it can
        taken = min(back, doubt.by)
        back -= taken
        if doubt.by > taken:
            kept.append(Doubt(doubt.by - taken, doubt.until))
    return tuple(kept)


def ahead(doubts: Sequence[Doubt], steady: float) -> float:
    """Return by how many seconds the clock may be ahead. steady: the time now."""
    return sum(doubt.by for doubt in doubts if doubt.until > steady)


def wrong(before: Doubts, later: Doubts, by: float, steady: float) -> tuple[float, float]:
    """Return by how many seconds times are wrong that were noted before a jump, when nothing was
    doubted; and by how many, 0 or below, those of them may be that are after now.

    before, later: what is doubted without and with the jump; by: as for `after`.
    """
    shift = ahead(later, steady) - ahead(before, steady)
    return shift, min(0.0, by - shift)


def moved(doubts: Doubts, by: float) -> Doubts:
    """Return doubts with another beginning of the steady clock. by: seconds that it is later."""
    return tuple(replace(doubt, until=doubt.until + by) for doubt in doubts)


def written(doubts: Doubts) -> str:
    """Return doubts as `read` reads them."""
    return " ".join(f"{doubt.by!r} {doubt.until!r}" for doubt in doubts)


def read(text: str) -> Doubts:
    """Read what `written` wrote. Raises ValueError."""
    numbers = [float(number) for number in text.split()]
    return tuple(Doubt(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))
