"""What each kind of directory must define for accounts: the core asks, a dialect answers.

Promises: these protocols cover every difference between Active Directory, AD LDS and RFC 2307. A
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
    """How to read and write accounts in one kind of directory. Pure."""

    @property
    def schema(self) -> AccountSchema:
        """Return the classes and attributes of an account."""
        ...

    @property
    def params(self) -> type[AccountParams]:
        """Return the model of a step's parameters."""
        ...

    @property
    def longest(self) -> int:
        """Return the most characters of a name."""
        ...

    @property
    def control(self) -> Sequence[str]:
        """Return attributes to read beside the fields: marks, and what closes an account."""
        ...

    def check(self, given: AccountParams, *, gives_numbers: bool) -> None:
        """Refuse parameters that cannot make an account here. Raises InvalidRequest."""
        ...

    def read(self, entry: Entry, ours: str) -> dict[str, Json]:
        """Return `sid`, `enabled`, `mark` and other values of a state that the dialect needs.

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
        """Return the fields to set on an open account, of those that differ."""
        ...

    def noted(self, notes: Sequence[str], state: State) -> Modification:
        """Return the change that adds notes, such as our mark, to an entry."""
        ...

    def switched(self, want: Want, state: State) -> Mapping[str, Json]:
        """Return the attributes that open or close an account, as `want["wanted"]` says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to make.

    attributes: classes, name, fields and further attributes, by the directory's names; mark: ours;
    sid: of the person, if the request names one.
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
        """Add the account; an account that another try made meanwhile is not a fault.

        Raises Conflict if another object has its name.
        """
        ...

    def finish(self, dn: str, mark: str) -> None:
        """Enable an account whose making was interrupted (`unfinished` in its state)."""
        ...
