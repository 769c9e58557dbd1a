"""Numbers for users and groups out of a range, and whose each number is.

Promises: two owners never have one number. A writer notes a number in the directory, then reads
what others have noted, and leaves it to whoever noted it first; so of two that come at once one has
it, or neither. A retry finds the number that it took before. No number is used a second time: its
note stays when its owner has gone, and the ledger knows it when the directory has lost the note. A
number that a request names, or that comes from elsewhere, is noted in the same way before it is
written, and refused if another object has it or had it.
Leaves out: the text of notes (`notes`), reading and writing them (`register`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.text import Entry
from handlers.ldap.numbers.ids import Ids, Named
from handlers.ldap.numbers.notes import Note, Standing, block_of, is_same, strangers
from handlers.ldap.numbers.register import Register
from provisioner.contract import Bearers, Conflict, Fault, Key, Permanent, split_key

_MOMENT = 1.0
"""Seconds for which a number that was free counts as free, until it is noted."""

_TRIES = 1000
"""Blocks that are tried before a writer gives up."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Numbers that were taken, by owner."""

    notes: Mapping[str, Note] = field(default_factory=dict)

    def get(self, owner: str) -> int | None:
        """Return the number taken for an owner."""
        note = self.notes.get(owner)
        return note.number if note is not None else None


@dataclass(frozen=True, slots=True)
class Bearing:
    """Where objects bear numbers.

    attribute: of the number; base: DN below which no number may be in use already; name: the
    attribute of names; within: filter for objects that have such numbers; also: the kinds of number
    that a number given out becomes, too.
    """

    attribute: str
    base: str
    name: str
    within: str = ""
    also: Sequence[str] = ()

    @property
    def kind(self) -> str:
        """The kind of number, as the ledger calls it: uid or gid."""
        return self.attribute.removesuffix("Number")


@dataclass(frozen=True, slots=True)
class _Found:
    """Numbers that were free when they were asked for. noted: notes of them; at: when, in monotonic
    seconds."""

    free: frozenset[Named] = frozenset()
    noted: Sequence[Note] = ()
    at: float = 0.0

    def has(self, wanted: Sequence[Named]) -> bool:
        """Return True if all of some numbers were free a moment ago."""
        return self.free.issuperset(wanted) and time.monotonic() - self.at < _MOMENT


class Numbers:
    """Gives out the numbers of one range, and holds those that requests name."""

    def __init__(self, directory: Directory, ids: Ids, bearing: Bearing, object_class: str) -> None:
        """object_class: of the entries with notes, if the settings name none."""
        self._directory = directory
        self._ids = ids
        self._bearing = bearing
        self._register = (
            None
            if ids.container is None
            else Register(directory, ids.container, ids.object_class or object_class)
        )
        self._lock = threading.Lock()
        self._next = 0
        self._held: dict[int, str] = {}
        self._just = _Found()
        self._bearers: Bearers = lambda *_: {}

    def heed(self, bearers: Bearers) -> None:
        """Ask the ledger, too, whose a number is; see `abilities.Allots`."""
        self._bearers = bearers

    # Numbers out of the range.

    def allotted(self) -> dict[str, range]:
        """Return what is given out, by kind of number; nothing without a register."""
        if self._register is None:
            return {}
        given = range(self._ids.first, self._ids.last + 1)
        return dict.fromkeys((self._bearing.kind, *self._bearing.also), given)

    def take(self, owners: Sequence[str]) -> Taken:
        """Return a number for each owner, the one from an earlier unsettled try if there is one.

        owner: whom it is for, such as `account/jdoe`. Raises Permanent if the range is used up.
        """
        if not owners or self._register is None:
            return Taken()
        taken = self._unsettled(self._register, owners)
        with self._lock:
            for _ in range(_TRIES):
                left = [owner for owner in dict.fromkeys(owners) if owner not in taken]
                if not left:
                    return Taken(taken)
                taken |= self._some(self._register, left)
        raise Permanent(f"no number for {left[0]}: other writers took {_TRIES} blocks meanwhile")

    def settle(self, taken: Taken) -> None:
        """Note that numbers are in use, so that the next owner of a name gets another one.

        An owner with a SID needs no such note: it is bound to the person. A batch of which one
        owner was not made is not settled: its halves are applied again, and find their numbers.
        """
        some = [note for owner, note in taken.notes.items() if "/S-1-" not in owner]
        if some and self._register is not None:
            self._register.settle(some)

    def former(self, owners: Sequence[str]) -> dict[str, list[int]]:
        """Return the numbers that owners had: those once in use, and those that requests named."""
        if self._register is None:
            return {}
        numbers: dict[str, set[int]] = {}
        for note in self._register.of_owners(owners):
            if note.standing != Standing.OPEN:
                numbers.setdefault(note.owner, set()).add(note.number)
        return {owner: sorted(had) for owner, had in numbers.items()}

    def _unsettled(self, register: Register, owners: Collection[str]) -> dict[str, Note]:
        """Return what an earlier try took: for a name, only what nobody has had since."""
        taken: dict[str, Note] = {}
        for note in sorted(register.of_owners(owners), key=lambda note: -note.number):
            personal = "/S-1-" in note.owner
            if note.standing == Standing.OPEN and (personal or not self._known([note.number])):
                taken[note.owner] = note
        return self._proved(register, taken)

    def _proved(self, register: Register, taken: Mapping[str, Note]) -> dict[str, Note]:
        """Return those of some notes that nobody else has noted or used: whoever wrote them may
        have died before they read what others had."""
        numbers = {note.number: owner for owner, note in taken.items()}
        lost = {n.number for n in register.of_numbers(numbers) if n.owner != numbers[n.number]}
        names = {owner: owner.split("/")[1] for owner in taken}
        for entry in self._bearing_any(numbers):
            number = entry.number(self._bearing.attribute)
            owner = numbers.get(number) if number is not None else None
            if owner and (entry.text(self._bearing.name) or "").lower() != names[owner]:
                lost.add(taken[owner].number)
        if gone := [note for note in taken.values() if note.number in lost]:
            register.drop(gone)
        return {owner: note for owner, note in taken.items() if note.number not in lost}

    def _some(self, register: Register, owners: Sequence[str]) -> dict[str, Note]:
        """Note numbers of one block for as many owners as it has numbers for, and return those
        that nobody else has."""
        free = self._free(register, len(owners))[: len(owners)]
        if not free:
            return {}
        entry = str(free[0])
        fresh = [Note(o, n, entry=entry) for o, n in zip(owners, free, strict=False)]
        try:
            register.add(fresh)
        except Exists:
            self._next = max((n.number for n in register.in_entry(free[0])), default=free[0]) + 1
            return {}
        self._next = free[-1] + 1
        others = {note.number for note in register.of_numbers(free) if note.entry != entry}
        lost = [note for note in fresh if note.number in others]
        if lost:
            register.drop(lost)
        return {note.owner: note for note in fresh if note.number not in others}

    def _free(self, register: Register, wanted: int) -> list[int]:
        """Return numbers of the next block that nobody uses here or had by the ledger.

        wanted: so many numbers are asked about, and the rest only if all of these are in use: a
        filter of 64 numbers takes ldap3 some milliseconds. Raises Permanent if the range is used
        up.
        """
        first = self._next or self._first_free(register)
        tried = range(first, min(block_of(first).stop, self._ids.last + 1))
        if not tried:
            raise Permanent(
                f"the range {self._ids.first} to {self._ids.last} is used up",
                advice="set a larger `ids: {to: ...}`; numbers are never used again",
            )
        known = self._known(tried)
        unknown = [number for number in tried if number not in known]
        for some in filter(None, (unknown[:wanted], unknown[wanted:])):
            used = {e.number(self._bearing.attribute) for e in self._bearing_any(some)}
            if free := [number for number in some if number not in used]:
                return free
        self._next = tried.stop
        return []

    def _bearing_any(self, numbers: Collection[int], within: str = "") -> list[Entry]:
        """Return what bears some numbers, with its name. within: a filter that must also match."""
        attribute, name = self._bearing.attribute, self._bearing.name
        return self._directory.find(
            attribute,
            {str(number) for number in numbers},
            [attribute, name],
            base=self._bearing.base,
            within=within,
        )

    def _known(self, numbers: Sequence[int]) -> set[int]:
        """Return the numbers that any object had by the ledger."""
        kinds = (self._bearing.kind, *self._bearing.also)
        return {n for kind in kinds for n in self._bearers(kind, numbers[0], numbers[-1])}

    def _first_free(self, register: Register) -> int:
        # A named number may be anywhere in the range: it does not move the next free number.
        given = (note for note in register.all() if note.standing != Standing.RESERVED)
        within = [n.number for n in given if self._ids.first <= n.number <= self._ids.last]
        return max(within, default=self._ids.first - 1) + 1

    # Numbers that requests name.

    def hold(self, wanted: Sequence[Named]) -> dict[Key, Fault]:
        """Make sure that only its owner has each number, before it is written.

        Return a fault that names who else has it, or had it, for each that must not be written.
        What `taken` has just found free is not asked for again: what others note meanwhile is read
        once it is noted here.
        """
        just, self._just = self._just, _Found()
        faults: dict[Key, Fault] = {}
        if just.has(wanted):
            noted = just.noted
        else:
            noted = self._noted(wanted)
            faults = self._faults(wanted, noted)
        free = [want for want in wanted if want.key not in faults]
        if self._register is None:
            with self._lock:  # two owners of one batch both have no note
                for want in free:
                    first = self._held.setdefault(want.number, want.owner)
                    if not is_same(first, want.owner):
                        faults[want.key] = self._another(want, first)
            return faults
        return {**faults, **self._reserve(self._register, free, noted)}

    def taken(self, wanted: Sequence[Named]) -> dict[Key, Fault]:
        """Return a fault for each named number that is already another's, as `hold` would find."""
        began, noted = time.monotonic(), self._noted(wanted)
        faults = self._faults(wanted, noted)
        free = frozenset(want for want in wanted if want.key not in faults)
        self._just = _Found(free, noted, began)
        return faults

    def _noted(self, wanted: Sequence[Named]) -> list[Note]:
        if self._register is None:
            return []
        return self._register.of_numbers({want.number for want in wanted})

    def _faults(self, wanted: Sequence[Named], noted: Sequence[Note]) -> dict[Key, Fault]:
        bearing = self._bearing
        seen = self._bearing_any({want.number for want in wanted}, bearing.within)
        first: dict[int, str] = {}
        faults: dict[Key, Fault] = {}
        for want in wanted:
            bearers = [e for e in seen if e.number(bearing.attribute) == want.number]
            named = {e.dn: (e.text(bearing.name) or "").lower() for e in bearers}
            others = sorted(dn for dn, name in named.items() if name != want.name)
            others += strangers([note for note in noted if note.number == want.number], want.owner)
            others += self._lost(want)
            earlier = first.setdefault(want.number, want.owner)
            if not is_same(earlier, want.owner):
                others.append(earlier)
            if others:
                faults[want.key] = self._another(want, others[0])
        return faults

    def _reserve(
        self, register: Register, wanted: Sequence[Named], noted: Sequence[Note]
    ) -> dict[Key, Fault]:
        """Note named numbers, and return a fault for each that another writer noted meanwhile."""
        fresh: dict[Key, Note] = {}
        for want in wanted:
            own = (n for n in noted if n.number == want.number and is_same(n.owner, want.owner))
            if next(own, None) is None:
                fresh[want.key] = Note(want.owner, want.number, Standing.RESERVED)
        self._directory.each(register.note, list(fresh.values()))
        meanwhile = register.of_numbers({note.number for note in fresh.values()})
        faults: dict[Key, Fault] = {}
        for want in wanted:
            if (own_note := fresh.get(want.key)) is None:
                continue
            beside = [note for note in meanwhile if note.number == want.number]
            if others := strangers(beside, want.owner):
                register.drop([own_note])
                faults[want.key] = self._another(want, others[0])
        return faults

    def _lost(self, want: Named) -> list[Key]:
        """Return the objects of the owner's kind that had a number by the ledger, and are not the
        owner's."""
        kind, name = want.owner.split("/")[:2]
        known = self._bearers(self._bearing.kind, want.number, want.number).get(want.number, ())
        parts = {key: split_key(key)[1:] for key in known}
        return [key for key in known if parts[key][0] == kind and parts[key][1] != name]

    def _another(self, want: Named, other: str) -> Conflict:
        return Conflict(
            f"{want.owner}: {self._bearing.attribute} {want.number} is {other}'s",
            advice="send the request again with another number, or with none; the service never "
            "gives a number to a second owner, not even when the first has gone",
        )
