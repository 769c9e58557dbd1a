"""Settings and parameters of homes.

Leaves out: what a home should be, given both (`claims`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from handlers.home_directory.permissions import Acl, octal
from provisioner.contract import KnownAfter, LateId, Mode, Name


def _shut(value: str) -> str:
    if octal(value) & ~0o700:
        raise ValueError(f"{value} lets in others than root; use a mode such as 0000 or 0700")
    return value


class Settings(BaseModel):
    """Where homes are, and what they are like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path = Field(description="directory of the homes, owned by root", examples=["/home"])
    mounted: bool = Field(
        False, description="the root must be a mount point; while it is not, all homes wait"
    )
    path: str = Field(
        "{{ name }}",
        description="path below the root, from `name` alone; directories above a home are made "
        "where they are missing, owned by root, mode 0755",
        examples=["{{ name[0] }}/{{ name }}"],
    )
    known_as: str | None = Field(
        None,
        description="a home's path in accounts, from `name` alone, if hosts see it at another path "
        "than it is made at (an export, an automounter); default: the path where it is made",
        examples=["/home/{{ name }}"],
    )
    mode: Mode = Field("0700", description="permission bits of a home")
    closed_mode: Annotated[Mode, AfterValidator(_shut)] = Field(
        "0000",
        description="permission bits of a closed home, which belongs to root; none for group and "
        "others",
    )
    skeleton: str | None = Field("home", description="directory of templates that a new home gets")
    acl: Acl = Field("", description="POSIX ACL, numeric", examples=["g:4711:r-x,d:g:4711:r-x"])
    min_id: int = Field(1000, description="lowest uid that may own a home")
    min_gid: int = Field(
        100,
        description="lowest gid of a home; 100 is a usual primary group (`users`); an agent has a "
        "range of its own (`ids`)",
    )
    max_id: int = Field(4294967293, description="highest uid and gid")
    quotas: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9_-]*(:[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]*)?)?$",
        description="the `gpfs_fileset` of the homes' file system, such as `fs1`: quotas of its "
        "users are then read; `fs1:FILESET` if it counts users in each fileset apart",
    )
    lane: str | None = Field(None, description="lane; default: one for the root")


class Params(BaseModel):
    """One home."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="whose home")
    uid: LateId = Field(description="owner")
    gid: LateId = Field(description="group")
    mode: Mode | None = Field(None, description="permission bits, if not the site's")
    home: str | None = Field(
        None, description="path that the request wants; refused if homes are elsewhere"
    )
    account_home: str | KnownAfter | None = Field(
        None,
        description="path in the account, or what resolves; refused if homes are elsewhere",
    )
    adopt: bool = Field(False, description="take over a directory that another uid owns")
