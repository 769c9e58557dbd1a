"""A part of the configuration: an unknown name is a mistake, and values are frozen."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _falling(days: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 1 <= one <= 366 for one in days):
        raise ValueError("must be numbers of days from 1 to 366")
    if list(days) != sorted(set(days), reverse=True):
        raise ValueError("must fall from number to number, such as [30, 7, 1]")
    return days


Days = Annotated[tuple[int, ...], AfterValidator(_falling)]
"""How many days before something people are warned of it, the earliest warning first."""


class Part(BaseModel):
    """Options that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
