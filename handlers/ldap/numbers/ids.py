"""Numbers for users and groups from a range: an entry for each number, naming who has it.

Promises: two writers never take one number, because a directory adds an entry only once. A retry
finds the number that it took before. No number is used a second time: its entry stays when its user
has gone, and the ledger knows it when the directory has lost the entry. A number that a request
names, or that comes from elsewhere, is held in the same way before it is written, and refused if
another object has it or had it.
Leaves out: removing entries.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.text import Entry, child
from provisioner.contract import (
    Bearers,
    Change,
    Conflict,
    Fault,
    InvalidRequest,
    Json,
    Key,
    Permanent,
    split_key,
)

_USED = " used"
"""Suffix of a number's description once its account or group was made."""

_RESERVED = " reserved"
"""Suffix of the description of a number that a request named."""

LARGEST = 4_294_967_294
"""The largest uid that Linux takes (the next one means "no change" to chown)."""


class Ids(BaseModel):
    """The numbers that this handler gives out or allows."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: int = Field(1000, alias="from", ge=1, le=LARGEST, description="smallest number")
    last: int = Field(2_000_000_000, alias="to", ge=1, le=LARGEST, description="largest number")
    container: str | None = Field(
        None,
        description="DN below which each number in use has an entry; without it the handler gives "
        "out no numbers; they come from the request or from Active Directory",
        examples=["OU=ids,DC=hpc,DC=test"],
    )
    object_class: str | None = Field(
        None, description="class of these entries, with cn and description",
        examples=["container", "organizationalRole"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _ordered(self) -> Ids:
        if self.first > self.last:
            raise ValueError("`from` is larger than `to`")
        return self

    def check(self, field: str, number: object, setting: str = "ids") -> None:
        """Refuse a number outside the range. Raises InvalidRequest that names the field.

        setting: the name of the range in the configuration.
        """
        if isinstance(number, int) and not self.first <= number <= self.last:
            raise InvalidRequest(
                f"{field} {number} is outside the configured range",
                field=field,
                expected=f"{self.first} to {self.last} (the handler's `{setting}`)",
            )


@dataclass(frozen=True, slots=True)
class Named:
    """A number that a request names for somebody. name: their name in the directory's entry."""

    key: Key
    owner: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Numbers by owner. earlier: those that an earlier try took; batch: a name for the rest
    together."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    earlier: Mapping[str, int] = field(default_factory=dict)
    batch: str = ""

    def get(self, owner: str) -> int | None:
        """Return the number taken for an owner."""
        return self.numbers.get(owner)


def named(
    changes: Iterable[Change], field: str, attribute: str, owner: Callable[[Change], str]
) -> list[Named]:
    """Return the numbers that changes are going to write because a request names them.

    field: the number's name in a change that creates, attribute: in one that sets.
    """
    named_ids = []
    for change in changes:
        given = cast(Mapping[str, Json], change.data.get("fields", change.data))
        setting = cast(Mapping[str, Json], change.data.get("set") or {})
        number = setting.get(attribute, given.get(field))
        if isinstance(number, int) and change.verb in ("create", "set"):
            named_ids.append(Named(change.key, owner(change), split_key(change.key)[2], number))
    return named_ids


class Numbers:
    """Gives out the numbers of one range.

    attribute, base: where a number may be in use without an entry; object_class: of the entries, if
    the settings name none. also: the kinds of number that a number given out becomes, too.
    """

    def __init__(
        self,
        directory: Directory,
        ids: Ids,
        attribute: str,
        base: str,
        object_class: str,
        also: Sequence[str] = (),
    ) -> None:
        self._directory = directory
        self._ids = ids
        self._attribute = attribute
        self._base = base
        self._class = ids.object_class or object_class
        self._lock = threading.Lock()
        self._next = 0
        self._held: dict[int, str] = {}
        self._kind = attribute.removesuffix("Number")
        self._kinds = (self._kind, *also)
        self._bearers: Bearers = lambda *_: {}

    def heed(self, bearers: Bearers) -> None:
        """Ask the ledger, too, whose a number is; see `abilities.Allots`."""
        self._bearers = bearers

    def take(self, owners: Sequence[str]) -> Taken:
        """Return a number for each owner, the one from an earlier unsettled try if there is one.

        owner: whom it is for, such as `account/jdoe`. Raises Permanent if the range is used up.
        """
        earlier = self._unsettled(owners)
        missing = [owner for owner in dict.fromkeys(owners) if owner not in earlier]
        if not missing:
            return Taken(earlier, earlier)
        with self._lock:
            free = self._free(len(missing))
        batch, fresh = f"batch-{secrets.token_hex(8)}", dict[str, int]()

        def write(number: tuple[str, int]) -> None:
            fresh[number[0]] = self._add(*number, batch)

        self._directory.each(write, list(zip(missing, free, strict=True)))
        return Taken({**earlier, **fresh}, earlier, batch)

    def settle(self, taken: Taken) -> None:
        """Record that the numbers are in use, so that the next owner of a name gets another number.

        One entry with the name of a batch settles the whole batch, so that a thousand accounts cost
        one write; numbers from an earlier try are settled one by one.
        """

        def write(item: tuple[str, int]) -> None:
            owner, number = item
            self._directory.modify(
                self._dn(str(number)), [("replace", "description", [owner + _USED])]
            )

        self._directory.each(write, list(taken.earlier.items()))
        if taken.batch:
            self._directory.add(self._dn(taken.batch), {"objectClass": ["top", self._class]})

    def hold(
        self, owner: str, number: int, *, name: str, name_attribute: str, within: str = ""
    ) -> None:
        """Make sure that only its owner has a number that a request named, before it is written.

        name, name_attribute: its name, and the attribute of names; within: filter for entries that
        have such numbers. Raises Conflict that names who else has it, or had it.
        """
        entries = self._directory.find(
            self._attribute, [str(number)], [name_attribute], base=self._base, within=within
        )
        others = sorted(e.dn for e in entries if (e.text(name_attribute) or "").lower() != name)
        others += self._lost(number, owner)
        if others:
            raise _another(owner, self._attribute, number, ", ".join(others))
        if self._ids.container is not None:
            self._reserve(owner, number)
            return
        with self._lock:  # two owners of one batch both have no entry yet
            first = self._held.setdefault(number, owner)
        if not _is_same(first, owner):
            raise _another(owner, self._attribute, number, first)

    def taken(
        self, wanted: Sequence[Named], *, name_attribute: str, within: str = ""
    ) -> dict[Key, Fault]:
        """Return a fault for each named number that is already another's, as `hold` would find."""
        numbers = {want.number for want in wanted}
        if not numbers:
            return {}
        texts = sorted(map(str, numbers))
        seen = self._directory.find(
            self._attribute,
            texts,
            [self._attribute, name_attribute],
            base=self._base,
            within=within,
        )
        entries: Sequence[Entry] = ()
        if self._ids.container is not None:
            fields = ["cn", "description"]
            entries = self._directory.find("cn", texts, fields, base=self._ids.container)
        had = {entry.number("cn"): entry.texts("description") for entry in entries}
        first: dict[int, str] = {}
        faults: dict[Key, Fault] = {}
        for want in wanted:
            bearing = [e for e in seen if e.number(self._attribute) == want.number]
            others = [e.dn for e in bearing if (e.text(name_attribute) or "").lower() != want.name]
            others += _strangers(had.get(want.number, ()), want.owner)
            others += self._lost(want.number, want.owner)
            earlier = first.setdefault(want.number, want.owner)
            if not _is_same(earlier, want.owner):
                others.append(earlier)
            if others:
                faults[want.key] = _another(want.owner, self._attribute, want.number, others[0])
        return faults

    def _reserve(self, owner: str, number: int) -> None:
        dn = self._dn(str(number))
        note = owner + _RESERVED
        try:
            self._directory.add(dn, {"objectClass": ["top", self._class], "description": [note]})
        except Exists:
            entry = self._directory.read(dn, ["description"])
            texts = entry.texts("description") if entry else ()
            strangers = _strangers(texts, owner)
            if strangers:
                raise _another(owner, self._attribute, number, strangers[0]) from None
            if not _of_kind(texts, owner):
                self._directory.modify(dn, [("add", "description", [note])])

    def former(self, owners: Sequence[str]) -> dict[str, list[int]]:
        """Return the numbers that owners had: those once in use, and those that requests named."""
        if self._ids.container is None:
            return {}
        noted = {owner + end: owner for owner in owners for end in ("", _USED, _RESERVED)}
        entries, settled = self._noted(noted)
        numbers_of: dict[str, set[int]] = {}
        for entry in entries:
            number, texts = entry.number("cn"), set(entry.texts("description"))
            for text in texts & noted.keys():
                if number is not None and (text != noted[text] or texts & settled):
                    numbers_of.setdefault(noted[text], set()).add(number)
        return {owner: sorted(numbers) for owner, numbers in numbers_of.items()}

    def _noted(self, texts: Collection[str]) -> tuple[list[Entry], set[str | None]]:
        """Return the entries of numbers with some descriptions, and which batches are settled."""
        below = self._ids.container or ""
        entries = self._directory.find("description", texts, ["cn", "description"], base=below)
        batches = {text for e in entries for text in e.texts("description") if _is_batch(text)}
        return entries, {
            e.text("cn") for e in self._directory.find("cn", batches, ["cn"], base=below)
        }

    def _unsettled(self, owners: Collection[str]) -> dict[str, int]:
        entries, settled = self._noted(owners)
        wanted, numbers = set(owners), dict[str, int]()
        for entry in entries:
            number, texts = entry.number("cn"), set(entry.texts("description"))
            if number is not None and not texts & settled:
                for owner in texts & wanted:
                    numbers[owner] = min(number, numbers.get(owner, number))
        return numbers

    def _add(self, owner: str, number: int, batch: str) -> int:
        """Add the entry that gives a number to an owner; if another writer was first, try the
        next."""
        for _ in range(1000):
            try:
                self._directory.add(
                    self._dn(str(number)),
                    {"objectClass": ["top", self._class], "description": [owner, batch]},
                )
            except Exists:
                with self._lock:
                    number = self._free(1)[0]
            else:
                return number
        raise Permanent(f"no number for {owner}: other writers took a thousand numbers meanwhile")

    def _free(self, count: int) -> list[int]:
        """Return numbers that have no entry, and that nobody uses here or had by the ledger."""
        if not self._next:
            self._next = self._first_free()
        free: list[int] = []
        while len(free) < count:
            tried = list(range(self._next, min(self._next + count, self._ids.last + 1)))
            if not tried:
                raise Permanent(
                    f"the range {self._ids.first} to {self._ids.last} is used up",
                    advice="set a larger `ids: {to: ...}`; numbers are never used again",
                )
            lost = {n for kind in self._kinds for n in self._bearers(kind, tried[0], tried[-1])}
            unknown = [number for number in tried if number not in lost]
            entries = self._directory.find(
                self._attribute, map(str, unknown), [self._attribute], base=self._base
            )
            used = {entry.number(self._attribute) for entry in entries}
            some = [number for number in unknown if number not in used][: count - len(free)]
            free += some
            self._next = (some or tried)[-1] + 1
        return free

    def _lost(self, number: int, owner: str) -> list[Key]:
        """Return the objects of the owner's kind that had a number by the ledger, and are not the
        owner's."""
        kind, name = owner.split("/")[:2]
        known = self._bearers(self._kind, number, number).get(number, ())
        parts = {key: split_key(key)[1:] for key in known}
        return [key for key in known if parts[key][0] == kind and parts[key][1] != name]

    def _first_free(self) -> int:
        entries = self._directory.search(
            self._ids.container or "",
            f"(objectClass={self._class})",
            ["cn", "description"],
            "LEVEL",
        )
        # A named number may be anywhere in the range: it does not move the next free number.
        given = [entry for entry in entries if not _is_named(entry.texts("description"))]
        taken = [number for entry in given if (number := entry.number("cn")) is not None]
        within = [number for number in taken if self._ids.first <= number <= self._ids.last]
        return max(within, default=self._ids.first - 1) + 1

    def _dn(self, name: str) -> str:
        return child("cn", name, self._ids.container or "")


def _of_kind(texts: Collection[str], owner: str) -> set[str]:
    """Return the owners of an owner's kind in the description of a number's entry."""
    had = {text.split(" ")[0] for text in texts if not _is_batch(text)}
    return {one for one in had if one.split("/", 1)[0] == owner.split("/", 1)[0]}


def _strangers(texts: Collection[str], owner: str) -> list[str]:
    return [one for one in sorted(_of_kind(texts, owner)) if not _is_same(one, owner)]


def _is_batch(text: str) -> bool:
    return text.startswith("batch-")


def _is_named(texts: Sequence[str]) -> bool:
    return bool(texts) and all(text.endswith(_RESERVED) for text in texts)


def _is_same(one: str, other: str) -> bool:
    """Return True if two owners are one; either may have been noted without its SID."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _another(owner: str, attribute: str, number: int, other: str) -> Conflict:
    return Conflict(
        f"{owner}: {attribute} {number} is {other}'s",
        advice="send the request again with another number, or with none; the service never gives "
        "a number to a second owner, not even when the first has gone",
    )
