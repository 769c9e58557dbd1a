"""Accounts in Active Directory: looked up if the campus owns them, managed if we do.

Promises: `lookup` writes nothing, and is not ready until the account exists. `manage` makes an
enabled account, and changes only what a request names and only accounts that are ours. Suspending
disables it; while a claim keeps it open, the service enables it, even if somebody disabled it by
hand. Leaves out: groups (`ad_group`), the dialect (`accounts.active_directory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from handlers.ldap.accounts.active_directory import ActiveDirectory, PasswordMaker
from handlers.ldap.accounts.handler import Accounts, Backend
from handlers.ldap.accounts.lookup import LookedUp
from handlers.ldap.accounts.params import AccountParams as Params
from handlers.ldap.accounts.settings import AccountSettings
from handlers.ldap.directory.client import Directory
from provisioner.contract import Handler, Site, read_settings

__all__ = ["Params", "Settings", "build"]


class Settings(AccountSettings):
    """Settings of an `ad_account`."""

    mode: Literal["lookup", "manage"] = Field(
        "lookup", description="`lookup`: the campus makes accounts; `manage`: the service does"
    )
    container: str | None = Field(
        None, description="DN where accounts are made; required by `manage`",
        examples=["OU=HPC,DC=campus,DC=test"],
    )  # fmt: skip
    domain: str | None = Field(
        None, description="the part after @ in userPrincipalName; required by `manage`",
        examples=["campus.test"],
    )  # fmt: skip
    requires: tuple[Literal["uid", "gid", "mail", "home", "shell"], ...] = Field(
        (), description="`lookup`: fields that an account must have; steps that need it wait until "
        "then", examples=[["uid", "gid"]],
    )  # fmt: skip
    protected: tuple[str, ...] = Field(
        ("administrator", "guest", "krbtgt", "root"),
        description="names that the service never touches",
    )

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.mode == "manage" and not (self.container and self.domain):
            raise ValueError("`manage` requires `container` and `domain`")
        return self


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler. Raises ConfigError that names the wrong setting."""
    chosen = read_settings(Settings, settings)
    directory = Directory(chosen, site.secret)
    if chosen.mode == "lookup":
        dialect = ActiveDirectory(Params, longest=32)
        return LookedUp(site, chosen, directory, dialect, chosen.requires)
    maker = PasswordMaker(directory, chosen.domain or "")
    return Accounts(site, chosen, Backend(directory, ActiveDirectory(Params), maker))
