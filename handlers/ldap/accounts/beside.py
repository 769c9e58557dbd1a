"""Accounts beside Active Directory: the dialects of AD LDS and of RFC 2307.

Promises: an account has the SID of the person's account in Active Directory, as its own or as a
note. Closing changes one attribute: `msDS-UserAccountDisabled` of a `user` of AD LDS; the login
shell of a `userProxy` and of an RFC 2307 account. A proxy's schema has no such flag, and AD refuses
its bind. Hosts that read a plain directory by NSS honor no other attribute in every product: sshd
with keys does not read `shadowExpire`, and only OpenLDAP has `pwdAccountLockedTime`. Leaves out:
passwords (a proxy has none; a `user` has a random one that is thrown away).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.ldap.accounts.dialect import NewAccount
from handlers.ldap.accounts.params import AccountParams, BoundParams, check_sid
from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.dialects import AccountSchema
from handlers.ldap.directory.sid import sid_bytes, sid_text
from handlers.ldap.directory.text import Entry
from handlers.ldap.marks import find_mark
from provisioner.contract import Conflict, InvalidRequest, Json, Scalar, State, Want

FLAG = "msDS-UserAccountDisabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A dialect of AD LDS, or of RFC 2307.

    closed_shell: login shell of a closed account; is_proxy: Active Directory checks binds, and
    `objectSid` is the person's; has_flag: `FLAG` closes an account, not the shell.
    """

    schema: AccountSchema
    closed_shell: str
    is_proxy: bool = False
    has_flag: bool = False
    params: type[AccountParams] = BoundParams
    longest: int = 32
    control: Sequence[str] = ("objectSid", FLAG, "description")

    def check(self, given: AccountParams, *, gives_numbers: bool) -> None:
        """Refuse an account that could have no number, or a proxy without a SID."""
        sid = given.sid if isinstance(given, BoundParams) else None
        if sid is None and self.is_proxy:
            raise InvalidRequest(
                "a userProxy needs the SID of the account in Active Directory",
                field="sid",
                expected="{{ steps.ACCOUNT.output.sid }} in the route",
            )
        if isinstance(sid, str):
            check_sid(sid)
        if given.uid is None and not gives_numbers:
            raise InvalidRequest(
                "no uid, and no range to take a uid from",
                field="uid",
                expected="a number, or `ids: {container: ...}` in the handler's settings",
            )

    def read(self, entry: Entry, ours: str) -> dict[str, Json]:
        """Return the flag or shell that closes an account, and the notes in `description`."""
        shell = entry.text(self.schema.attributes["shell"])
        return {
            "sid": self._sid(entry),
            "enabled": not (entry.is_true(FLAG) or shell == self.closed_shell),
            "mark": find_mark(entry.texts("description"), ours),
        }

    def _sid(self, entry: Entry) -> str | None:
        """Return the person's SID: a proxy's own, or the noted one; a user's own SID is from AD
        LDS."""
        if self.is_proxy:
            raw = entry.raw("objectSid")
            return sid_text(raw) if raw else None
        notes = (note for note in entry.texts("description") if note.startswith("sid:S-1-"))
        return next((note.removeprefix("sid:") for note in notes), None)

    def is_built_in(self, state: State) -> bool:
        """Return False: nothing of this kind comes with the directory."""
        return False

    def saved(self, state: State) -> State:
        """Return the shell of an open account."""
        return {"shell": state["shell"]}

    def written(
        self, fields: Mapping[str, Scalar], want: Want, state: State
    ) -> Mapping[str, Scalar]:
        """Return fields that differ, without the shell, which opening sets; a person always keeps
        `sn`."""
        rest = dict(fields)
        if not self.has_flag and not state["enabled"]:
            rest.pop("shell", None)
        if rest.get("surname", "") is None:  # RFC 4519 requires it of every person
            rest["surname"] = str(want["name"])
        return rest

    def noted(self, notes: Sequence[str], state: State) -> Modification:
        """Return the change that adds values to `description`, which has many."""
        return "add", "description", notes

    def switched(self, want: Want, state: State) -> Mapping[str, Json]:
        """Return the flag or the shell that opens or closes the account."""
        is_open = want["wanted"] == "open"
        if self.has_flag:
            return {FLAG: "FALSE" if is_open else "TRUE"}
        return {"loginShell": want["shell"] if is_open else self.closed_shell}


class EntryMaker:
    """Makes an account by one add."""

    def __init__(self, directory: Directory, dialect: Beside) -> None:
        self._directory = directory
        self._dialect = dialect

    def make(self, account: NewAccount) -> None:
        """Add the account."""
        kind = self._dialect.schema.classes[-1]
        try:
            self._directory.add(account.dn, self._attributes(account))
        except Exists:
            entry = self._directory.read(account.dn, ["objectClass"])
            if entry is None or kind in entry.texts("objectClass"):
                return  # made meanwhile, perhaps by us: the next reading decides
            raise Conflict(
                f"{account.key}: {account.dn} exists and is not a {kind}",
                advice="rename that entry, or choose another container",
            ) from None

    def finish(self, dn: str, mark: str) -> None:
        """Do nothing: one add makes a complete account, so none is ever unfinished."""

    def _attributes(self, account: NewAccount) -> dict[str, Any]:
        schema, notes = self._dialect.schema, [account.mark]
        attributes = dict(account.attributes)
        if "surname" in schema.attributes:
            # RFC 4519 requires a family name of every person; AD LDS accepts one.
            attributes.setdefault("sn", account.name)
        if schema.name != "cn":
            # A person has a cn (RFC 4519), and here the DN does not contain it.
            attributes["cn"] = attributes.get("displayName") or account.name
        if self._dialect.has_flag:
            # AD LDS keeps a user without a password disabled, and refuses to enable it.
            attributes["userPassword"] = secrets.token_urlsafe(30) + "aA1-"
        if account.sid and self._dialect.is_proxy:
            attributes["objectSid"] = sid_bytes(account.sid)
        elif account.sid:
            notes.append(f"sid:{account.sid}")
        return {**attributes, "description": notes}
