"""Writes of groups: making and changing them, and giving them numbers.

Promises: the handler makes a group once, with its number; it holds a number before it writes it.
Leaves out: members (`members`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from handlers.ldap.bearers import borne_by_others
from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.dialects import GroupDialect
from handlers.ldap.directory.text import child
from handlers.ldap.groups.entries import GroupEntries
from handlers.ldap.groups.settings import Settings
from handlers.ldap.marks import mark_of
from handlers.ldap.numbers.ids import named
from handlers.ldap.numbers.kept import ambiguous, former, given_back, owner_of, returned
from handlers.ldap.numbers.numbers import Bearing, Numbers, Taken
from provisioner.contract import Bearers, Change, Conflict, Fault, Key, Site


class GroupWrites:
    """Writes the groups of one directory."""

    def __init__(
        self, site: Site, settings: Settings, directory: Directory, dialect: GroupDialect
    ) -> None:
        self._site = site
        self._settings = settings
        self._dialect = dialect
        self._directory = directory
        self._entries = GroupEntries(site, directory, dialect)
        # A user whose primary group it is does not count as a group with that number.
        bearing = Bearing("gidNumber", settings.base, dialect.name, dialect.filter)
        self._numbers = Numbers(directory, settings.ids, bearing, dialect.ids)

    def heed(self, bearers: Bearers) -> None:
        """Ask the ledger, too, whose a number is."""
        self._numbers.heed(bearers)

    def allotted(self) -> Mapping[str, range]:
        """Return the gids that are given out."""
        return self._numbers.allotted()

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Return a fault for each name that another object has, and each number that is
        another's."""
        had = former(self._numbers, changes)
        asked = [*named(changes, "gid", "gidNumber", owner_of), *returned(changes, had)]
        taken = self._numbers.taken(asked)
        others = borne_by_others(self._directory, changes, self._dialect)
        return {**taken, **ambiguous(changes, had), **others}

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group; each may be written again."""
        changes = given_back(changes, former(self._numbers, changes))
        refused = self._numbers.hold(named(changes, "gid", "gidNumber", owner_of))
        taken = self._numbers.take([owner_of(c) for c in changes if c.data.get("take")])
        writes: Mapping[str, Callable[[Change, Taken], None]] = {
            "create": self._create,
            "set": self._set,
            "describe": self._describe,
            "adopt": self._adopt,
            "number": self._number,
        }

        def write(change: Change) -> None:
            if change.key in refused:
                raise refused[change.key]
            writes[change.verb](change, taken)

        self._directory.each(write, changes)
        self._numbers.settle(taken)

    def _create(self, change: Change, taken: Taken) -> None:
        name, mark = str(change.data["name"]), mark_of(self._site.service, change.key)
        dn = child("cn", name, self._settings.container)
        texts: Any = change.data["description"]
        notes: dict[str, list[str]] = {"description": [texts] if texts else []}
        notes.setdefault(self._dialect.note, []).append(mark)
        number: Any = taken.get(owner_of(change)) or change.data["gid"]
        attributes: dict[str, Any] = {
            "objectClass": list(self._dialect.classes),
            self._dialect.name: name,
            **self._dialect.fixed,
            **{attribute: values for attribute, values in notes.items() if values},
            **({} if number is None else {"gidNumber": number}),
        }
        try:
            self._directory.add(dn, attributes)
        except Exists:
            if not self._entries.find([name]):
                raise Conflict(
                    f"{change.key}: {dn} exists or its name is in use, and it is not a group",
                    advice="choose another name for the group, or rename that object",
                ) from None

    def _set(self, change: Change, _: Taken) -> None:
        wanted: Any = change.data["set"]
        self._directory.replace(str(change.data["dn"]), wanted)

    def _describe(self, change: Change, _: Taken) -> None:
        """Change only the description: marks in the same attribute stay."""
        old, new = change.data["old"], change.data["new"]
        changes: list[Modification] = [("delete", "description", [str(old)])] if old else []
        changes += [("add", "description", [str(new)])] if new else []
        self._directory.modify(str(change.data["dn"]), changes)

    def _adopt(self, change: Change, _: Taken) -> None:
        mark, dn = str(change.data["mark"]), str(change.data["dn"])
        if self._dialect.note == "description":
            self._directory.modify(dn, [("add", "description", [mark])])
            return
        note = "\r\n".join(filter(None, [str(change.data["note"] or ""), mark]))
        self._directory.modify(dn, [("replace", "info", [note])])

    def _number(self, change: Change, taken: Taken) -> None:
        number = taken.notes[owner_of(change)].number
        self._directory.modify(str(change.data["dn"]), [("replace", "gidNumber", [number])])
