"""Options of drift: how often each backend is compared with what is wanted, and what follows.

Promises: without any option, drift is looked for and reported, and nothing is repaired. Leaves out:
what drift is (`inspection.drift`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from provisioner.config.part import Part

Minutes = Annotated[float, Field(ge=0)]

USUAL = {"slurm": 20.0}
"""Minutes between looks at kinds of handlers that no option names: jobs run by Slurm's limits."""


class DriftConfig(Part):
    """When the service looks for drift by itself, and whether it repairs what it finds."""

    every: dict[str, Minutes] = Field(
        default_factory=dict,
        description="minutes between looks, by handler, lane or kind of handler; 0: never. "
        "Handlers of the kind slurm that are not named: 20",
        examples=[{"slurm": 20, "fs1": 60}],
    )
    others: Minutes = Field(
        1440.0, description="minutes between looks at all other handlers; 0: never"
    )
    repair: bool = Field(
        False, description="make what differs as it is wanted; without it, only report it"
    )
    most_removed: int = Field(
        10,
        ge=0,
        description="most people who may lose something by one repair; one that would take "
        "something from more is held until a second person releases it",
    )

    def minutes(self, instance: str, lane: str, kind: str) -> float:
        """Return the minutes between looks at a handler; 0: never."""
        for name in (instance, lane, kind):
            if name in self.every:
                return self.every[name]
        return USUAL.get(kind, self.others)
