"""Accounts beside Active Directory: in AD LDS, or in a plain RFC 2307 directory by a profile.

Promises: an account is bound to the person's SID in Active Directory and never goes to another SID;
its POSIX attributes follow what the route passes on from there. Numbers come from Active Directory,
or from a range, never twice. Suspending closes an account; while a claim keeps it open, the service
opens it, even if somebody closed it by hand. Leaves out: groups (`ad_group`), the dialects
(`accounts.beside`), deleting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from handlers.ldap.accounts.beside import Beside, EntryMaker
from handlers.ldap.accounts.handler import Accounts, Backend
from handlers.ldap.accounts.params import BoundParams as Params
from handlers.ldap.accounts.params import PlainParams
from handlers.ldap.accounts.settings import AccountSettings
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import ACCOUNTS
from provisioner.contract import Handler, Site, read_settings

__all__ = ["Params", "Settings", "build"]


class Settings(AccountSettings):
    """Settings of an `adlds_account`."""

    profile: Literal["adlds", "rfc2307"] = Field(
        "adlds", description="AD LDS, or a plain directory (OpenLDAP, 389) with inetOrgPerson and "
        "posixAccount",
    )  # fmt: skip
    object_class: Literal["user", "userProxy", "userProxyFull"] = Field(
        "userProxy", description="class of accounts in AD LDS"
    )
    container: str = Field(
        description="DN where accounts are made", examples=["OU=people,DC=hpc,DC=test"]
    )
    closed_shell: str = Field("/sbin/nologin", description="login shell of a closed account")
    attributes: tuple[str, ...] = Field(
        (), description="further attributes that requests may set", examples=[["sAMAccountName"]]
    )

    @model_validator(mode="after")
    def _closable(self) -> Settings:
        if self.shell == self.closed_shell:
            raise ValueError("`shell` and `closed_shell` must differ")
        return self

    @property
    def dialect(self) -> Beside:
        """Return the dialect that reads and writes accounts here."""
        kind = "rfc2307" if self.profile == "rfc2307" else self.object_class
        return Beside(
            schema=ACCOUNTS[kind],
            closed_shell=self.closed_shell,
            is_proxy=kind in {"userProxy", "userProxyFull"},
            has_flag=kind == "user",
            params=PlainParams if kind == "rfc2307" else Params,
        )


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler. Raises ConfigError that names the wrong setting."""
    chosen = read_settings(Settings, settings)
    directory, dialect = Directory(chosen, site.secret), chosen.dialect
    maker = EntryMaker(directory, dialect)
    return Accounts(site, chosen, Backend(directory, dialect, maker))
