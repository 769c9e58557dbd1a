"""How accounts and groups are written in Active Directory, AD LDS and RFC 2307 directories. Data.

Promises: every difference between directories in classes and attributes is here, as values.
Leaves out: when anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PERSON = {
    "mail": "mail", "full_name": "displayName", "given_name": "givenName", "surname": "sn",
}  # fmt: skip
_POSIX = {"uid": "uidNumber", "gid": "gidNumber", "shell": "loginShell"}


@dataclass(frozen=True, slots=True)
class AccountSchema:
    """Classes and attributes of one kind of account.

    name: attribute of its name; rdn: the attribute that its DN begins with; attributes: by field;
    ids: class of a number's entry.
    """

    classes: tuple[str, ...]
    name: str
    rdn: str
    attributes: Mapping[str, str]
    ids: str = "container"

    @property
    def filter(self) -> str:
        """Return the filter for accounts of this kind; to AD, computers are users."""
        own = f"(objectClass={self.classes[-1]})"
        return f"(&{own}(!(objectClass=computer)))" if self.name == "sAMAccountName" else own


_LDS = {**_POSIX, "home": "unixHomeDirectory"}
_USER = ("top", "person", "organizationalPerson", "user")
ACCOUNTS: Mapping[str, AccountSchema] = {
    "ad": AccountSchema(_USER, "sAMAccountName", "CN", {**_LDS, **PERSON}),
    "user": AccountSchema(_USER, "cn", "cn", {**_LDS, **PERSON}),
    "userProxy": AccountSchema(("top", "userProxy"), "cn", "cn", _LDS),
    "userProxyFull": AccountSchema(("top", "userProxyFull"), "cn", "cn", {**_LDS, **PERSON}),
    "rfc2307": AccountSchema(
        ("top", "person", "organizationalPerson", "inetOrgPerson", "posixAccount"),
        "uid",
        "uid",
        {**_POSIX, "home": "homeDirectory", **PERSON},
        ids="organizationalRole",
    ),
}


@dataclass(frozen=True, slots=True)
class GroupDialect:
    """How one kind of directory writes groups.

    name: attribute of the group's name beside cn; user: attribute of a member's name; fixed:
    attributes that every group gets; member: attribute of members; note: attribute of marks; names:
    members are names, not DNs; ranged: the server returns long lists in ranges; primary: a user's
    primary group contains them without listing them.
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
    def filter(self) -> str:
        """Return the filter for groups."""
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
