"""Settings and parameters of groups, checked before any call to a directory.

Leaves out: rules between a setting and a parameter (`ad_group`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from handlers.ldap.directory.settings import DirectorySettings
from handlers.ldap.marks import unlike_marks
from handlers.ldap.numbers.ids import Ids
from provisioner.contract import Fits, KnownAfter


class Settings(DirectorySettings):
    """Settings of an `ad_group`."""

    profile: Literal["ad", "adlds", "rfc2307"] = Field("ad", description="kind of the directory")
    container: str = Field(
        description="DN where groups are made", examples=["OU=groups,DC=campus,DC=test"]
    )
    users: str | None = Field(
        None, description="DN below which members are looked up; default: `base`"
    )
    ids: Ids = Field(
        default_factory=Ids, description="group numbers that are allowed and given out"
    )
    prefix: str | None = Field(
        None,
        pattern=r"^[a-z_][a-z0-9_-]{0,7}$",
        description="begins the names of groups whose code the directory does not take (a digit "
        "first, or more than 32 characters), and of codes that begin with it; without it such a "
        "code is refused",
        examples=["p-"],
    )
    protected: tuple[str, ...] = Field(
        ("root", "wheel", "administrators"), description="groups that the service never touches"
    )


class Params(BaseModel):
    """What a step says about a group, or, with `user`, about one membership."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(description="name of the group", examples=["cf0003"])
    user: str | None = Field(
        None, description="member; without it, the step is about the group itself"
    )
    gid: int | KnownAfter | None = Field(
        None, description="number of the group; default: one from the handler's `ids`"
    )
    # rangeUpper of description (MS-ADA1).
    description: Annotated[str | None, Fits(1024, unlike_marks)] = Field(
        None, description="what the group is for"
    )
    adopt: bool = Field(
        False, description="take over a group that this service did not make, or add a member to it"
    )
