"""Members of a group, as a directory lists them.

Promises: the handler reads a list of any length, range by range. In Active Directory it also counts
users whose primary group it is, whom `member` does not list (MS-ADTS 3.1.1.4.5.19, MS-SAMR
2.2.7.1). Leaves out: adding and removing members (`members`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import GroupDialect
from handlers.ldap.directory.sid import sid_text
from handlers.ldap.directory.text import Entry, same_dn
from handlers.ldap.renamed import bearing, is_that
from provisioner.contract import Gone

_USERS = "(|(objectClass=user)(objectClass=userProxy)(objectClass=userProxyFull))"


@dataclass(frozen=True, slots=True)
class Person:
    """A user who may be in a group.

    name: their name; value: their DN or name in the group's list; primary: the SID of their primary
    group, if they have one; uid, sid: what tells them from the next person of that name.
    """

    name: str
    value: str
    primary: str | None = None
    uid: int | None = None
    sid: str | None = None

    def is_in_by_itself(self, group: Entry) -> bool:
        """Return True if a group is the user's primary group: they are in it without being
        listed."""
        sid = group.raw("objectSid")
        return self.primary is not None and sid is not None and sid_text(sid) == self.primary


class Membership:
    """The members of the groups of one directory. users: the DN below which users are."""

    def __init__(self, directory: Directory, dialect: GroupDialect, users: str) -> None:
        self._directory = directory
        self._dialect = dialect
        self._users = users
        primary = ["primaryGroupID"] if dialect.primary else []
        self._asked = [dialect.user, "uidNumber", "objectSid", *primary]

    def find(self, names: Collection[str]) -> dict[str, Person]:
        """Return users by name."""
        if self._dialect.names:
            return {name: Person(name, name) for name in names}
        entries = self._directory.find(
            self._dialect.user, names, self._asked, base=self._users, within=_USERS
        )
        return {person.name: person for person in map(self._person, entries)}

    def renamed(self, gone: Mapping[str, Gone]) -> dict[str, Person]:
        """Return users by the names that they had, found by number or SID."""
        if self._dialect.names or not gone:
            return {}
        entries = bearing(self._directory, self._users, _USERS, self._asked, gone.values())
        people = [self._person(entry) for entry in entries]
        found: dict[str, Person] = {}
        for name, one in gone.items():
            same = [p for p in people if is_that(one.identity, p.uid, p.sid)]
            if len(same) == 1:
                found[name] = same[0]
        return found

    def listed(self, groups: Iterable[Entry]) -> Mapping[str, set[str]]:
        """Return the listed members of some groups, by the DN of each, in one spelling."""
        return {group.dn: {same_dn(one) for one in self.all_of(group)} for group in groups}

    def all_of(self, group: Entry) -> list[str]:
        """Return the listed members of a group: those in the first answer, and the ranges after
        it."""
        some, following = group.ranged(self._dialect.member)
        rest = [] if following is None else self.read(group.dn, following)
        return [*some, *rest]

    def read(self, dn: str, start: int = 0) -> list[str]:
        """Return the listed members of a group, range by range, from a start on."""
        attribute, members = self._dialect.member, list[str]()
        while True:
            ranged = self._dialect.ranged or start
            asked = f"{attribute};range={start}-*" if ranged else attribute
            entry = self._directory.read(dn, [asked])
            some, following = entry.ranged(attribute) if entry else ((), None)
            members += some
            if following is None:
                return members
            start = following

    def everybody(self, groups: Iterable[Entry]) -> Iterator[tuple[Entry, Person]]:
        """Yield each group with each of its members; a member who is not a user here is named by
        their DN."""
        users = {} if self._dialect.names else self._all_users()
        for group in groups:
            for value in self.all_of(group):
                stranger = Person(value.lower(), value.lower())
                yield group, users.get(same_dn(value), stranger)
            for person in users.values():
                if person.is_in_by_itself(group):
                    yield group, person

    def _all_users(self) -> dict[str, Person]:
        """Return all users, by DN in one spelling."""
        found = self._directory.search(self._users, _USERS, self._asked)
        return {same_dn(entry.dn): self._person(entry) for entry in found}

    def _person(self, entry: Entry) -> Person:
        number, raw = entry.number("primaryGroupID"), entry.raw("objectSid")
        name = (entry.text(self._dialect.user) or "").lower()
        sid = None if raw is None else sid_text(raw)
        primary = None
        if self._dialect.primary and number is not None and sid is not None:
            primary = f"{sid.rpartition('-')[0]}-{number}"
        return Person(name, entry.dn, primary, entry.number("uidNumber"), sid)
