"""Levels: how full something is, whether that is news, and when it will be full. Pure.

Promises: what hovers at a threshold is told once: a level falls only when use is clearly below it.
Leaves out: reading use (`watch`).
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.contract import Meter

GRACE = 1000.0
"""The level of use in grace: above each threshold."""

FULL = 2000.0
"""The level of use at the hard limit, or after grace: nothing can be written."""

_LONGEST = 365.0
_FEWEST = 3
_DAY = 86400.0


def limit(meter: Meter) -> int:
    """Return the limit that percents are of: the soft one, or else the hard one; 0: none."""
    return meter.soft or meter.hard


def percent(meter: Meter) -> float:
    """Return how much of its limit is used; 0 without a limit."""
    return 100.0 * max(0, meter.used) / limit(meter) if limit(meter) else 0.0


def level(meter: Meter, thresholds: Sequence[float], before: float, margin: float) -> float:
    """Return the level of use: a threshold, GRACE or FULL; 0 below all.

    before: the level that it had; margin: percent of the limit by which use has to fall below that
    level, at each of them.
    """
    if not limit(meter):
        return 0.0
    now = _reached(meter, meter.used, thresholds)
    if now >= before:
        return now
    more = meter.used + margin * limit(meter) / 100
    near = _reached(meter, more, thresholds)
    if before >= GRACE and meter.soft and more > meter.soft:
        near = max(near, GRACE)  # the grace ends as soon as use is below the limit
    return max(now, min(before, near))


def _reached(meter: Meter, used: float, thresholds: Sequence[float]) -> float:
    """Return the level that some use of a limit has by itself."""
    if (meter.hard and used >= meter.hard) or meter.grace == "expired":
        return FULL
    if meter.grace and used > meter.soft:
        return GRACE
    share = 100.0 * used / limit(meter)
    return max((one for one in thresholds if share >= one), default=0.0)


def days_left(meter: Meter, points: Sequence[tuple[float, int]]) -> float | None:
    """Return in how many days the limit is reached if use goes on as it did; None: it does not.

    points: (seconds, use), oldest first, of at least three days.
    """
    if len(points) < _FEWEST or not limit(meter) or meter.used >= limit(meter):
        return None
    first = points[0][0]
    days = [(at - first) / _DAY for at, _ in points]
    middle, mean = sum(days) / len(days), sum(used for _, used in points) / len(points)
    spread = sum((day - middle) ** 2 for day in days)
    if spread <= 0:
        return None
    rises = [(d - middle) * (used - mean) for d, (_, used) in zip(days, points, strict=True)]
    slope = sum(rises) / spread
    left = (limit(meter) - meter.used) / slope if slope > 0 else _LONGEST + 1
    return left if left <= _LONGEST else None
