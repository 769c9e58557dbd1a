"""Options of what is kept, and for how long: finished requests, copies of the journal, manifests.

Where the journal is, too: in a file, or in a database on a server.

Promises: the defaults suit a site with some thousands of users. An address with a password is
refused, by a message that does not repeat it. Leaves out: removing anything, and whether a database
is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field

from provisioner.config.part import Part
from provisioner.contract import ConfigError
from provisioner.request.values import Size

_SCHEMES = ("postgresql://", "postgres://")
_SECRET = {"password", "sslpassword"}


@dataclass(frozen=True, slots=True)
class _Withheld:
    """A text that no message may repeat, and what is wrong with it."""

    problem: str


def _told(value: object) -> object:
    """Return what a text names."""
    if not isinstance(value, str):
        return value
    if not value.startswith(_SCHEMES):
        return Path(value)
    try:
        parts = urlsplit(value)
        named = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        secret = parts.password is not None or bool(named & _SECRET)
    except ValueError:
        return _Withheld("is no address; expected postgresql:///NAME?host=HOST&user=USER")
    if secret:
        return _Withheld(
            "has a password; expected postgresql:///NAME?host=HOST&user=USER, and the password in "
            "~/.pgpass of the service's user, or in a file that PGPASSFILE names"
        )
    return value


def _open(value: object) -> object:
    if isinstance(value, _Withheld):
        raise ValueError(value.problem)
    return value


Place = Annotated[Path | str, BeforeValidator(_open), BeforeValidator(_told)]
"""A file, or the address of a database, such as `postgresql:///provisioner?host=/run/postgresql`.

The validators are two, because a message shows the value that the one got which refuses it."""


def named(text: str) -> Path | str:
    """Return the place that a person names. Raises ConfigError, which repeats no password."""
    place = _told(text)
    if isinstance(place, _Withheld):
        raise ConfigError(f"the place {place.problem}")
    return place.absolute() if isinstance(place, Path) else text


def below(place: Path | str, base: Path) -> Path | str:
    """Return a place with a relative path resolved against a directory."""
    return base / place if isinstance(place, Path) else place


def beside(place: Path | str, spool: Path) -> Path:
    """Return the directory on this host that a journal's copies lie beside: its own or its spool's.

    spool: whose journal it is.
    """
    return place.parent if isinstance(place, Path) else spool.parent


class RolesConfig(Part):
    """How soon another host takes up the lanes of one that is not heard any more."""

    lease: float = Field(
        10.0,
        ge=0.5,
        le=600,
        description="seconds for which a host may write to backends without hearing of the "
        "journal's server; after four of them at most, another host goes on in its place",
    )
    staging: Literal["own", "shared"] = Field(
        "own",
        description="`shared`: `spool` is on a file system that the hosts of several intakes share",
    )


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
