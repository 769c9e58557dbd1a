"""Settings that account handlers of every kind of directory share.

Leaves out: where accounts are made and how they are closed, which each directory's settings say.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from handlers.ldap.directory.settings import DirectorySettings
from handlers.ldap.numbers.ids import Ids


class AccountSettings(DirectorySettings):
    """Settings of every account handler."""

    container: str | None = Field(None, description="DN where accounts are made")
    ids: Ids = Field(default_factory=Ids, description="user numbers that are allowed and given out")
    gids: Ids = Field(
        default_factory=lambda: Ids(first=100), description="allowed numbers of primary groups"
    )
    gid: int | Literal["uid"] | None = Field(
        "uid", description="primary group if a request names none; `uid`: the user's own number"
    )
    home: str = Field("/home/{{ name }}", description="home directory if a request names none")
    shell: str = Field("/bin/bash", description="login shell if a request names none")
    attributes: tuple[str, ...] = Field(
        (), description="further attributes that requests may set", examples=[["department"]]
    )
    protected: tuple[str, ...] = Field(
        ("administrator", "root"), description="names that the service never touches"
    )
