"""How accounts and groups are written in Active Directory, AD LDS and RFC 2307 directories. Data.

Promises: all that differs between directories in classes and attributes is here, as values.
Leaves out: when anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PERSON = {
    "mail": "mail", "full_name": "displayName", "given_name": "givenName", "surname": "sn",
}  # fmt: skip
_POSIX = {"uid": "uidNumber", "gid": "gidNumber", "shell": "loginShell"}

FLAG = "msDS-UserAccountDisabled"


@dataclass(frozen=True, slots=True)
class AccountDialect:
    """How one kind of account is written. name: its attribute in the DN; ids: class of a number."""

    classes: tuple[str, ...]
    name: str
    attributes: Mapping[str, str]
    is_proxy: bool = False
    has_flag: bool = False
    ids: str = "container"

    @property
    def found(self) -> str:
        """Write the filter for the accounts of this kind."""
        return f"(objectClass={self.classes[-1]})"


_LDS = {**_POSIX, "home": "unixHomeDirectory"}
ACCOUNTS: Mapping[str, AccountDialect] = {
    "user": AccountDialect(
        ("top", "person", "organizationalPerson", "user"), "cn", {**_LDS, **PERSON}, has_flag=True
    ),
    "userProxy": AccountDialect(("top", "userProxy"), "cn", _LDS, is_proxy=True),
    "userProxyFull": AccountDialect(
        ("top", "userProxyFull"), "cn", {**_LDS, **PERSON}, is_proxy=True
    ),
    "rfc2307": AccountDialect(
        ("top", "person", "organizationalPerson", "inetOrgPerson", "posixAccount"),
        "uid",
        {**_POSIX, "home": "homeDirectory", **PERSON},
        ids="organizationalRole",
    ),
}


@dataclass(frozen=True, slots=True)
class GroupDialect:
    """How one kind of directory writes groups.

    name: attribute of the group's name beside cn; user: attribute of a member's name; fixed: what
    every group gets; member: its attribute; note: where marks stand; names: members are names, not
    DNs; ranged: the server gives long lists in ranges; primary: a user's primary group has them
    without listing them.
    """

    classes: tuple[str, ...]
    name: str
    user: str
    member: str
    note: str
    fixed: Mapping[str, str]
    names: bool = False
    ranged: bool = False
    primary: bool = False
    ids: str = "container"

    @property
    def found(self) -> str:
        """Write the filter for groups."""
        return f"(objectClass={self.classes[-1]})"


_GLOBAL_SECURITY = {"groupType": "-2147483646"}
"""GLOBAL and SECURITY_ENABLED (MS-ADTS 2.2.12), as AD and AD LDS take it."""

GROUPS: Mapping[str, GroupDialect] = {
    "ad": GroupDialect(
        ("top", "group"), "sAMAccountName", "sAMAccountName", "member", "info",
        _GLOBAL_SECURITY, ranged=True, primary=True,
    ),
    "adlds": GroupDialect(
        ("top", "group"), "cn", "cn", "member", "description", _GLOBAL_SECURITY
    ),
    "rfc2307": GroupDialect(
        ("top", "posixGroup"), "cn", "uid", "memberUid", "description", {},
        names=True, ids="organizationalRole",
    ),
}  # fmt: skip
