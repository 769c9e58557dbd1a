"""Notes: who has which number, as text in the descriptions of a container's entries. Pure.

Promises: a note says owner, number and how far it is, and is read back as it was written. An entry
has the name of the first number that it notes, and notes only numbers of one block. Leaves out:
reading and writing entries (`register`), and whom a number is given to (`numbers`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

BLOCK = 64
"""Numbers of a block: so few names are to be read to know whose a number is."""


class Standing(StrEnum):
    """How far a note is: for an account that is yet to be made, made, or named by a request."""

    OPEN = ""
    USED = "used"
    RESERVED = "reserved"


@dataclass(frozen=True, slots=True)
class Note:
    """One number of one owner, such as `account/jdoe`. entry: the name of the entry with the note,
    '' for a new one."""

    owner: str
    number: int
    standing: Standing = Standing.OPEN
    entry: str = ""

    @property
    def text(self) -> str:
        """The note's text: `account/jdoe 20000 used`."""
        return f"{self.owner} {self.number} {self.standing}".strip()

    def used(self) -> Note:
        """Return the note of an owner that was made."""
        return replace(self, standing=Standing.USED)


_NOTE = re.compile(r"(?P<owner>.+) (?P<number>\d+)(?: (?P<standing>used|reserved))?\Z")


def read(entry: str, texts: Iterable[str]) -> list[Note]:
    """Return the notes of an entry; other texts in its description are left out."""
    found = (_NOTE.match(text) for text in texts)
    return [
        Note(match["owner"], int(match["number"]), Standing(match["standing"] or ""), entry)
        for match in found
        if match
    ]


def block_of(number: int) -> range:
    """Return the numbers of a block."""
    first = number - number % BLOCK
    return range(first, first + BLOCK)


def entries_of(numbers: Iterable[int]) -> set[str]:
    """Return the names that entries with notes of some numbers may have."""
    return {str(name) for n in numbers for name in range(block_of(n).start, n + 1)}


def strangers(notes: Collection[Note], owner: str) -> list[str]:
    """Return other owners of the same kind: a uid and a gid may be one number."""
    kind = owner.partition("/")[0]
    others = {note.owner for note in notes if note.owner.partition("/")[0] == kind}
    return sorted(other for other in others if not is_same(other, owner))


def is_same(one: str, other: str) -> bool:
    """Return True if two owners are one; either may have been noted without its SID."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")
