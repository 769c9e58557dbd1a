"""The register: the entries of a container in which the numbers of a range are noted.

Promises: an entry with its notes is made at once or not at all, and two writers never make one of
the same name. Leaves out: removing entries, and whom a number is given to (`numbers`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import NAMES, Directory
from handlers.ldap.directory.text import Entry, any_beginning, any_holding, child, chunks
from handlers.ldap.numbers import notes
from handlers.ldap.numbers.notes import Note

_FIELDS = ("cn", "description")

_MANY = 2000
"""Names beyond which all entries are read: numbers far apart have 64 names each."""

_FEW = 8
"""Numbers up to which the directory is asked for entries that hold one of them. Of a block of which
every number was named there are 64 entries, and each that comes takes ldap3 a fifth of a
millisecond."""


class Register:
    """The notes in one container."""

    def __init__(self, directory: Directory, container: str, object_class: str) -> None:
        """container: DN of the container; object_class: of its entries."""
        self._directory = directory
        self._container = container
        self._class = object_class

    # Reading.

    def all(self) -> list[Note]:
        """Return all notes."""
        return self._below(f"(objectClass={self._class})")

    def of_owners(self, owners: Collection[str]) -> list[Note]:
        """Return the notes of some owners."""
        wanted = set(owners)
        found: list[Note] = []
        for some in chunks(sorted(wanted), NAMES):
            beginnings = [f"{owner} " for owner in some]
            found += self._below(any_beginning("description", beginnings))
        return list(dict.fromkeys(note for note in found if note.owner in wanted))

    def of_numbers(self, numbers: Collection[int]) -> list[Note]:
        """Return the notes of some numbers, whoever has them."""
        wanted, names = set(numbers), notes.entries_of(numbers)
        if len(names) > _MANY:
            return [note for note in self.all() if note.number in wanted]
        # Digits alone: how a directory compares blanks is nothing to rely on here.
        few = any_holding("description", map(str, wanted)) if len(wanted) <= _FEW else ""
        entries = self._directory.find("cn", names, _FIELDS, base=self._container, within=few)
        return [note for note in _notes(entries) if note.number in wanted]

    def in_entry(self, number: int) -> list[Note]:
        """Return the notes of the entry with the name of a number."""
        entry = self._directory.read(self._dn(str(number)), _FIELDS)
        return _notes([entry] if entry is not None else [])

    def _below(self, filter: str) -> list[Note]:
        return _notes(self._directory.search(self._container, filter, _FIELDS, "LEVEL"))

    # Writing.

    def add(self, some: Sequence[Note]) -> None:
        """Note numbers of one block in a new entry. Raises Exists if there is one of that name."""
        attributes = {
            "objectClass": ["top", self._class],
            "description": [note.text for note in some],
        }
        self._directory.add(self._dn(str(some[0].number)), attributes)

    def note(self, one: Note) -> None:
        """Note a number in the entry with its name, which may exist."""
        try:
            self.add([one])
        except Exists:
            self._directory.modify(self._dn(str(one.number)), [("add", "description", [one.text])])

    def drop(self, some: Iterable[Note]) -> None:
        """Remove notes of numbers that another owner had noted first."""
        for name, group in _by_entry(some):
            texts = [note.text for note in group]
            self._directory.modify(self._dn(name), [("delete", "description", texts)])

    def settle(self, some: Iterable[Note]) -> None:
        """Note that owners were made: one write for each entry."""

        def write(item: tuple[str, list[Note]]) -> None:
            name, group = item
            before, after = [n.text for n in group], [n.used().text for n in group]
            changes = [("delete", "description", before), ("add", "description", after)]
            self._directory.modify(self._dn(name), changes)  # type: ignore[arg-type]

        self._directory.each(write, _by_entry(some))

    def _dn(self, name: str) -> str:
        return child("cn", name, self._container)


def _notes(entries: Iterable[Entry]) -> list[Note]:
    return [
        note
        for entry in entries
        for note in notes.read(entry.text("cn") or "", entry.texts("description"))
    ]


def _by_entry(some: Iterable[Note]) -> list[tuple[str, list[Note]]]:
    def name(note: Note) -> str:
        return note.entry or str(note.number)

    return [(entry, list(group)) for entry, group in groupby(sorted(some, key=name), name)]
