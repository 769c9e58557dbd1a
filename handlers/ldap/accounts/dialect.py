"""What a kind of directory has to say about accounts: the core asks, a dialect answers.

Promises: all that differs between Active Directory, AD LDS and RFC 2307 is asked for here. A
`Dialect` is pure; a `Maker` writes. Leaves out: the answers (`active_directory`, `beside`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from handlers.ldap.accounts.params import AccountParams
from handlers.ldap.directory.client import Modification
from handlers.ldap.directory.dialects import AccountSchema
from handlers.ldap.directory.text import Entry
from provisioner.contract import Json, Key, Scalar, State, Want


class Dialect(Protocol):
    """How accounts are read and written in one kind of directory. Pure."""

    @property
    def schema(self) -> AccountSchema:
        """Classes and attributes of an account."""
        ...

    @property
    def params(self) -> type[AccountParams]:
        """Model of a step's parameters."""
        ...

    @property
    def longest(self) -> int:
        """Most characters of a name."""
        ...

    @property
    def control(self) -> Sequence[str]:
        """Attributes to read beside the fields: marks, and what closes an account."""
        ...

    def check(self, given: AccountParams, *, gives_numbers: bool) -> None:
        """Refuse parameters with which no account can be made here. Raises InvalidRequest."""
        ...

    def read(self, entry: Entry, ours: str) -> dict[str, Json]:
        """Read `sid`, `enabled`, `mark` and what else the dialect needs of a state.

        ours: our mark for this entry.
        """
        ...

    def is_built_in(self, state: State) -> bool:
        """Return True for an account that comes with the directory."""
        ...

    def saved(self, state: State) -> State:
        """Return what to save of an open account before it is closed."""
        ...

    def written(
        self, fields: Mapping[str, Scalar], want: Want, state: State
    ) -> Mapping[str, Scalar]:
        """Return the fields to set of an open account, of those that differ."""
        ...

    def noted(self, notes: Sequence[str], state: State) -> Modification:
        """Return what adds notes, such as our mark, to an entry."""
        ...

    def switched(self, want: Want, state: State) -> Mapping[str, Json]:
        """Return the attributes that open or close an account, as `want["wanted"]` says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to be made.

    attributes: classes, name, fields and further attributes, as the directory calls them; mark:
    ours; sid: of the person, where the request names one.
    """

    key: Key
    dn: str
    name: str
    attributes: Mapping[str, Any]
    mark: str
    sid: str | None


class Maker(Protocol):
    """Makes accounts in one directory."""

    def make(self, account: NewAccount) -> None:
        """Add the account; one that another try made meanwhile is not a fault.

        Raises Conflict where something else has its name.
        """
        ...

    def finish(self, dn: str, mark: str) -> None:
        """Enable an account whose making was cut off (`unfinished` in its state)."""
        ...
