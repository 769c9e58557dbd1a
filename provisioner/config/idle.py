"""Options of idle people: who is closed because they use nothing, and after which warnings.

Promises: off unless a site says after how many days; nobody is closed without a warning. Leaves
out: reading the sources, and the decision (`provisioner.idle`).
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from provisioner.config.part import Days, Part

LEAST = 30
"""The fewest days. Active Directory notes a logon up to 14 days late, and people take holidays."""


class ExemptConfig(Part):
    """Who is never closed for being idle. While a person or group is unknown, nobody is."""

    people: tuple[str, ...] = Field((), description="names of users", examples=[["svc-backup"]])
    groups: tuple[str, ...] = Field(
        (), description="Unix groups, as the service's host knows them", examples=[["staff"]]
    )
    projects: tuple[str, ...] = Field((), description="codes of projects", examples=[["CF0003"]])


class SourceConfig(Part):
    """A source of last use: a handler of the same name, or a program of the site."""

    program: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="a program that prints USER, a tab and a date for each person; without it, "
        "the handler with the source's name is asked",
        examples=[["/usr/local/sbin/last-vpn"]],
    )
    timeout: float = Field(600.0, gt=0, le=7200, description="seconds for the program")
    reopens: bool = Field(
        False, description="a use that it sees after somebody was closed opens them again"
    )


class IdleConfig(Part):
    """When people whom no source saw for long are warned and closed."""

    after: int | None = Field(
        None,
        ge=LEAST,
        le=3650,
        description=f"days without use after which a person is closed, at least {LEAST}",
        examples=[365],
    )
    warn: Days = Field(
        (30, 7, 1), min_length=1, description="days before at which the person is warned"
    )
    sources: dict[str, SourceConfig] = Field(
        default_factory=dict,
        description="what knows when people last used something; all have to answer",
        examples=[{"ad": {}, "vpn": {"program": ["/usr/local/sbin/last-vpn"]}}],
    )
    exempt: ExemptConfig = Field(
        default_factory=ExemptConfig, description="who is never closed for being idle"
    )
    cap: int = Field(
        10, ge=1, description="most people closed in one round; of more, nobody is closed"
    )
    minutes: float = Field(1440.0, ge=60, le=2880, description="minutes between rounds")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.after is None:
            return self
        if self.warn[0] >= self.after:
            raise ValueError(
                f"`warn` begins {self.warn[0]} days before the end of {self.after} days: it must "
                "begin later than the last use"
            )
        if not self.sources:
            raise ValueError("needs `sources`: without one, nobody knows who is idle")
        return self
