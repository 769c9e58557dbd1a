"""A part of the configuration: a name that it does not know is a mistake, and nothing changes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Options that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
