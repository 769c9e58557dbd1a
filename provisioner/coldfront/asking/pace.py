"""How often one thing changes: whether a change is said at once, or waits for those that follow it.

Promises: the first changes of a thing in a spell are said at once, and so is the first one after
it. Leaves out: what becomes of a change that waits (`heard`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable

SPELL = 30.0
"""Seconds in which the changes of a thing count together: half as long as a note waits."""

AT_ONCE = 10
"""How many changes of a thing are said at once in a spell."""


class Pace:
    """Counts the changes of things in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self._changes: Counter[Hashable] = Counter()

    def is_fast(self, about: Hashable) -> bool:
        """Count a change of a thing; return True if it had its fill of changes in this spell."""
        now = self.clock()
        if now - self.began >= SPELL:
            self.begin_anew()
        self._changes[about] += 1
        return self._changes[about] > AT_ONCE

    def begin_anew(self) -> None:
        """Begin a spell in which nothing has changed yet."""
        self.began = self.clock()
        self._changes.clear()
