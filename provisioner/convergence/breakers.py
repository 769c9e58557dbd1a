"""Breakers: which handlers of a lane are not asked for now, because their backends were away.

Promises: each handler has its own, so that a file system that is not mounted does not block the
others of its cluster. Delays double from `first` to `most` seconds, and one answer ends them.
Leaves out: what counts as away (`converge`: an exception of a handler, never its answer about one
object), and reporting it (`lanes`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from provisioner.contract import Fault, Unavailable
from provisioner.convergence.next_try import SPREAD, Patience

_DOUBLINGS = 64
"""The most doublings of a delay: after ten days the thousandth would overflow a float."""


class Breakers:
    """The breakers of one lane. until: the monotonic time before which each is not asked."""

    def __init__(self, patience: Patience) -> None:
        self.until: dict[str, float] = {}
        self._patience = patience
        self._openings: dict[str, int] = {}
        self._reasons: dict[str, str] = {}

    @property
    def away(self) -> bool:
        """Return True if a backend did not answer the last time."""
        return bool(self._openings)

    def shut(self, now: float) -> dict[str, float]:
        """Return the instances that may not be asked at a monotonic time, and until when."""
        return {instance: until for instance, until in self.until.items() if now < until}

    def open(self, instance: str, reason: str, now: float) -> float:
        """Stop asking an instance for a while; return for how many seconds."""
        openings = self._openings[instance] = self._openings.get(instance, 0) + 1
        doubled = self._patience.first * 2 ** min(openings - 1, _DOUBLINGS)
        delay = spread(min(self._patience.most, doubled))
        self.until[instance] = now + delay
        self._reasons[instance] = reason
        return delay

    def close(self, instance: str) -> bool:
        """Ask an instance again as usual. Return True if it was away."""
        self.until.pop(instance, None)
        self._reasons.pop(instance, None)
        return self._openings.pop(instance, None) is not None

    def first(self) -> tuple[str, float, str] | None:
        """Return the instance that is asked again first, when, and why it is not asked now."""
        if not self._reasons:
            return None
        instance = min(self._reasons, key=lambda name: self.until.get(name, 0.0))
        return instance, self.until.get(instance, 0.0), self._reasons[instance]


def away_of(faults: Sequence[Fault | None]) -> Unavailable | None:
    """Return the fault of one drain that says that a backend is away, if there is one."""
    return next((fault for fault in faults if isinstance(fault, Unavailable)), None)


def spread(seconds: float) -> float:
    """Make a delay somewhat longer or shorter, so that not everything comes back at once."""
    return seconds * random.uniform(1 - SPREAD, 1 + SPREAD)
