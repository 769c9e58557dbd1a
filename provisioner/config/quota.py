"""Options of quota warnings: how often use is read, and from where on people are warned.

Promises: the thresholds are in ascending order. Leaves out: the mails' words (templates).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from provisioner.config.part import Part

Percent = Annotated[float, Field(gt=0, le=100)]


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    for before, after in pairwise(values):
        if after <= before:
            raise ValueError(f"must be in ascending order: {after:g} is after {before:g}")
    return values


class QuotaConfig(Part):
    """When the use of quotas is read, and who is warned."""

    minutes: float = Field(1440.0, ge=0, description="minutes between looks; 0: never")
    thresholds: Annotated[tuple[Percent, ...], AfterValidator(_ascending)] = Field(
        (80.0, 90.0, 95.0, 100.0),
        description="percent of the soft limit at which people are warned, in ascending order. "
        "They are also warned when a grace begins, and at the hard limit",
    )
    margin: float = Field(
        5.0,
        ge=0,
        lt=100,
        description="percent of the limit by which use has to fall below a threshold or a limit "
        "before reaching it again is told again",
    )
    days: int = Field(60, ge=2, description="days for which use is kept, for the trend")
