"""Options of what is kept, and for how long: finished requests, copies of the journal, manifests.

Promises: the defaults suit a site with some thousands of users. Leaves out: removing anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field

from provisioner.config.part import Part
from provisioner.request.values import Size


class RetentionConfig(Part):
    """How long finished requests are kept. In `failed/`, only files of outsiders are removed."""

    done_days: float = Field(90.0, gt=0, description="days that files and results stay in `done/`")
    done_count: int = Field(
        100000, ge=1, description="most requests in `done/`; the oldest go earlier"
    )
    journal_days: float = Field(
        400.0, gt=0, description="days that the journal keeps requests after their outcome"
    )
    journal_floor: int = Field(
        1000, ge=1, description="newest outcomes that the journal always keeps"
    )
    outsider_count: int = Field(
        1000,
        ge=1,
        description="refused files kept for each writer who may ask for nothing; the oldest go",
    )
    events_days: float = Field(
        800.0,
        gt=0,
        description="days that the audit trail is kept; a checkpoint says what was removed",
    )


class BackupConfig(Part):
    """Copies of the journal, and the redo log that leads from each to the present."""

    directory: Path | None = Field(
        None,
        description="directory of both, on a local disk, preferably not the journal's; default: "
        "`backup` beside the journal, or beside the spool if a server has the journal",
        examples=["/srv/backup/provisioner"],
    )
    every: float = Field(3600.0, gt=0, description="seconds between copies")
    keep: int = Field(24, ge=1, description="copies that are kept")

    def below(self, base: Path) -> Self:
        """Return the settings with a relative path resolved against a directory."""
        path = None if self.directory is None else base / self.directory
        return self.model_copy(update={"directory": path})


class ManifestsConfig(Part):
    """Limits of manifests. The defaults are for 2 GiB of memory, as in the shipped unit."""

    size: Size = Field(64 * 1024**2, description="most bytes of one", examples=["64MiB"], le=2**29)
    lines: int = Field(1_200_000, ge=1, description="most lines of one")
    seconds: float = Field(3600.0, gt=0, description="most seconds of work to compare one")
    kept: Size = Field(512 * 1024**2, description="most bytes of one writer's unfinished manifests")
