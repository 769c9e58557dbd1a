"""A part of the configuration: an unknown name is a mistake, and values are frozen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Options that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
