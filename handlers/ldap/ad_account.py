"""Accounts in Active Directory: looked up where the campus owns them, managed where we do.

Promises: `lookup` writes nothing, and is not ready until the account is there; `manage` makes an
enabled account and changes only what is asked for and is ours. Suspending disables it; an account
that a claim keeps open is enabled, even if somebody disabled it by hand. Leaves out: groups
(`ad_group`), the dialect (`accounts.active_directory`).
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
        "lookup", description="`lookup`: the campus makes accounts; `manage`: we do"
    )
    container: str | None = Field(
        None, description="DN where accounts are made; needed by `manage`",
        examples=["OU=HPC,DC=campus,DC=test"],
    )  # fmt: skip
    domain: str | None = Field(
        None, description="what follows the @ in userPrincipalName; needed by `manage`",
        examples=["campus.test"],
    )  # fmt: skip
    requires: tuple[Literal["uid", "gid", "mail", "home", "shell"], ...] = Field(
        (), description="`lookup`: what an account has to have before anything is done with it; it "
        "is waited for", examples=[["uid", "gid"]],
    )  # fmt: skip
    protected: tuple[str, ...] = Field(
        ("administrator", "guest", "krbtgt", "root"), description="names that are never touched"
    )

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.mode == "manage" and not (self.container and self.domain):
            raise ValueError("`manage` needs `container` and `domain`")
        return self


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler; raises ConfigError naming the setting."""
    chosen = read_settings(Settings, settings)
    directory = Directory(chosen, site.secret)
    if chosen.mode == "lookup":
        dialect = ActiveDirectory(Params, longest=32)
        return LookedUp(site, chosen, directory, dialect, chosen.requires)
    maker = PasswordMaker(directory, chosen.domain or "")
    return Accounts(site, chosen, Backend(directory, ActiveDirectory(Params), maker))
