"""What follows for one person from when they last used something. Pure.

Promises: nobody is closed who used something, came or was opened within `after` days; who was not
warned at each stage that could still be told; whose last warning is not as many days old as it
says; or whose last warning nobody took. Leaves out: reading sources (`sources`), and who is exempt
(`standing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from provisioner.config.idle import IdleConfig
from provisioner.journal.figures.idle import Kept

DAY = 86400.0


class Step(StrEnum):
    """What follows for a person."""

    NONE = "used"
    """They used something, or are new."""
    WARN = "to be warned"
    WAIT = "warned"
    UNHEARD = "cannot be warned"
    """Their time has come, and nobody took the last warning."""
    CLOSE = "to be closed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step, and the days before the end that it is about. closes: seconds since the epoch."""

    step: Step
    closes: float
    stage: int | None = None


def decide(
    settings: IdleConfig, used: float | None, since: float, kept: Kept, now: float
) -> Outcome:
    """Return what follows for a person.

    used: the latest moment at which they may have used something, None: never seen; since: when
    they came. All times in seconds since the epoch.
    """
    first = settings.warn[0]
    anchor = max(used or 0.0, since, kept.spared or 0.0)
    due = anchor + (settings.after or 0) * DAY
    if due - first * DAY > now:
        return Outcome(Step.NONE, due)
    begun = now if kept.since is None else min(kept.since, now)
    closes = max(due, begun + first * DAY)
    if kept.stage is not None:
        closes = max(closes, min(kept.told or now, now) + min(kept.stage, first) * DAY)
    stage = min(days for days in settings.warn if closes - now <= days * DAY)
    if kept.stage is None or stage < kept.stage:
        return Outcome(Step.WARN, max(closes, now + stage * DAY), stage)
    if closes > now:
        return Outcome(Step.WAIT, closes, kept.stage)
    return Outcome(Step.CLOSE if kept.heard else Step.UNHEARD, closes, kept.stage)
