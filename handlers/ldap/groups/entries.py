"""Groups as a directory has them: entries become states.

Promises: one search for some hundreds of groups. Leaves out: who is in them (`membership`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import GroupDialect
from handlers.ldap.directory.sid import sid_text
from handlers.ldap.directory.text import Entry
from handlers.ldap.marks import find_mark, mark_of, without_marks
from handlers.ldap.renamed import marked
from provisioner.contract import Site, State


class GroupEntries:
    """Reads groups."""

    def __init__(self, site: Site, directory: Directory, dialect: GroupDialect) -> None:
        self._site = site
        self._directory = directory
        self._dialect = dialect
        self._asked = [dialect.name, "gidNumber", "objectSid", "description", "info"]

    def find(self, names: Collection[str]) -> dict[str, Entry]:
        """Return groups by name, without their members."""
        return self._find(names, self._asked)

    def find_with_members(self, names: Collection[str]) -> dict[str, Entry]:
        """Return groups by name, with the members that the server lists in its first answer."""
        return self._find(names, [*self._asked, self._dialect.member])

    def _find(self, names: Collection[str], asked: Sequence[str]) -> dict[str, Entry]:
        entries = self._directory.find(
            self._dialect.name, names, asked, within=self._dialect.filter
        )
        return {self.name(entry): entry for entry in entries}

    def marked(self, names: Collection[str]) -> dict[str, Entry]:
        """Return groups that have other names than the marks on them, by the names in the marks."""
        if not names:
            return {}
        marks = {self.mark_of(name): name for name in names}
        asked = [*self._asked, self._dialect.member]
        entries = marked(
            self._directory, self._dialect.filter, self._dialect.note, marks.keys(), asked
        )
        found = {self.mark(entry): entry for entry in entries}
        return {name: found[mark] for mark, name in marks.items() if mark in found}

    def below(self, container: str) -> Sequence[Entry]:
        """Return the groups of a container, with their members."""
        asked = [*self._asked, self._dialect.member]
        return list(self._directory.search(container, self._dialect.filter, asked))

    def name(self, entry: Entry) -> str:
        """Return the name of a group, in lower case."""
        return (entry.text(self._dialect.name) or "").lower()

    def mark(self, entry: Entry) -> str:
        """Return the mark of a group: ours, another's or none."""
        return find_mark(entry.texts(self._dialect.note), self.mark_of(self.name(entry)))

    def mark_of(self, name: str) -> str:
        """Return our mark of a group."""
        return mark_of(self._site.service, "/".join((self._site.instance, "group", name)))

    def state(self, entry: Entry) -> State:
        """Return the state of an existing group."""
        sid = entry.raw("objectSid")
        return {
            "present": True,
            "name": self.name(entry),
            "dn": entry.dn,
            "gid": entry.number("gidNumber"),
            "sid": sid_text(sid) if sid else None,
            "description": next(iter(without_marks(entry.texts("description"))), None),
            "mark": self.mark(entry),
            "note": entry.text("info"),
        }
