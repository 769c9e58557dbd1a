"""Accounts in Active Directory: the dialect, and how an account gets its first password.

Promises: closing sets ACCOUNTDISABLE and nothing else. A first password is random and thrown away;
an add carries it if the server takes that, otherwise three steps set it.
Leaves out: handing out passwords (a site's hook), deleting, moving.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.ldap.accounts.dialect import NewAccount
from handlers.ldap.accounts.params import AccountParams
from handlers.ldap.accounts.standing import expired
from handlers.ldap.directory.answers import Exists, Unwilling
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.dialects import ACCOUNTS, AccountSchema
from handlers.ldap.directory.sid import built_in, sid_text
from handlers.ldap.directory.text import Entry, same_dn
from handlers.ldap.marks import find_mark
from provisioner.contract import Conflict, Json, Scalar, State, Want

_DISABLED = 0x2
"""ACCOUNTDISABLE (MS-ADTS 2.2.16)."""

_NORMAL = 0x200
"""NORMAL_ACCOUNT: a user, enabled."""

_UNFINISHED = "unfinished: has no password yet"
"""The line below the mark of an account that was made disabled, until it is enabled."""


@dataclass(frozen=True, slots=True)
class ActiveDirectory:
    """The dialect of Active Directory. longest: 20 for accounts that we make."""

    params: type[AccountParams]
    longest: int = 20
    """sAMAccountName of a user holds 20 characters (MS-ADTS 3.1.1.6, SAM's rule)."""
    schema: AccountSchema = ACCOUNTS["ad"]
    control: Sequence[str] = ("objectSid", "userAccountControl", "accountExpires", "info")

    def check(self, given: AccountParams, *, gives_numbers: bool) -> None:
        """Refuse nothing: an account may have no numbers, because hosts may map SIDs to numbers."""

    def read(self, entry: Entry, ours: str) -> dict[str, Json]:
        """Return the control word, and the notes in `info`."""
        control = entry.number("userAccountControl") or 0
        sid, note = entry.raw("objectSid"), entry.text("info") or ""
        mark = find_mark([note], ours)
        return {
            "sid": sid_text(sid) if sid else None,
            "enabled": not control & _DISABLED,
            "control": control,
            "expired": expired(entry.number("accountExpires"), datetime.now(UTC)),
            "mark": mark,
            "note": note,
            "unfinished": _UNFINISHED in note and mark == ours,
        }

    def is_built_in(self, state: State) -> bool:
        """Return True for an account that comes with a domain."""
        return built_in(str(state["sid"] or ""))

    def saved(self, state: State) -> State:
        """Return that the account was enabled, so that the plan knows who disabled it."""
        return {"enabled": True}

    def written(
        self, fields: Mapping[str, Scalar], want: Want, state: State
    ) -> Mapping[str, Scalar]:
        """Return all fields that differ."""
        return fields

    def noted(self, notes: Sequence[str], state: State) -> Modification:
        """Return the change that adds lines to `info`, which has one value."""
        lines = [str(state["note"] or ""), *notes]
        return "replace", "info", ["\r\n".join(filter(None, lines))]

    def switched(self, want: Want, state: State) -> Mapping[str, Json]:
        """Return the control word with one bit changed."""
        control = int(str(state["control"]))
        is_open = want["wanted"] == "open"
        number = control & ~_DISABLED if is_open else control | _DISABLED
        return {"userAccountControl": str(number)}


class PasswordMaker:
    """Makes accounts with a first password.

    in_one_add: an add may carry the password; False once a server has required three steps.
    """

    def __init__(self, directory: Directory, domain: str) -> None:
        self._directory = directory
        self._domain = domain
        self.in_one_add = True

    def make(self, account: NewAccount) -> None:
        """Add an enabled account, or one that stays disabled until it has its password."""
        upn = f"{account.name}@{self._domain}"
        attributes: dict[str, Any] = {"userPrincipalName": upn, **account.attributes}
        try:
            if self.in_one_add and self._add_enabled(account, attributes):
                return
            disabled: dict[str, Any] = {
                "userAccountControl": _NORMAL | _DISABLED,
                "info": f"{account.mark}\r\n{_UNFINISHED}",
            }
            self._directory.add(account.dn, {**attributes, **disabled})
            self.finish(account.dn, account.mark)
            self.in_one_add = False
        except Exists:
            self._explain(account)

    def _add_enabled(self, account: NewAccount, attributes: Mapping[str, Any]) -> bool:
        """Return False if the server takes no password in an add: the three steps will report
        why."""
        enabled: dict[str, Any] = {
            "userAccountControl": _NORMAL, "unicodePwd": _password(), "info": account.mark
        }  # fmt: skip
        try:
            self._directory.add(account.dn, {**attributes, **enabled})
        except Unwilling:
            return False
        return True

    def finish(self, dn: str, mark: str) -> None:
        """Set the first password, then enable the account."""
        self._directory.modify(dn, [("replace", "unicodePwd", [_password()])])
        self._directory.modify(
            dn, [("replace", "userAccountControl", [_NORMAL]), ("replace", "info", [mark])]
        )

    def _explain(self, account: NewAccount) -> None:
        """Raise Conflict if another object has the account's name; a user of that name is not a
        fault here."""
        schema = ACCOUNTS["ad"]
        if self._directory.find(schema.name, [account.name], ["cn"], within=schema.filter):
            return
        entry = self._directory.read(account.dn, [schema.name])
        bearer = entry.text(schema.name) if entry else "a group or computer"
        raise Conflict(
            f"{account.key}: the name is in use by {bearer} ({same_dn(account.dn)})",
            advice="rename that object, or choose another name",
        )


def _password() -> bytes:
    """Return a password that nobody knows, encoded for `unicodePwd` (MS-ADTS 3.1.1.3.1.5)."""
    return f'"{secrets.token_urlsafe(30)}aA1-"'.encode("utf-16-le")
