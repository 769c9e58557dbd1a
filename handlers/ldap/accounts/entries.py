"""Accounts as a directory has them: entries become states.

Promises: one search for some hundreds of names; two entries with one name are a Conflict.
Leaves out: writing (`handler`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

from handlers.ldap.accounts.dialect import Dialect
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import PERSON
from handlers.ldap.directory.text import Entry
from handlers.ldap.marks import mark_of
from handlers.ldap.renamed import bearing, is_that
from provisioner.contract import (
    Conflict,
    Fault,
    Gone,
    InvalidRequest,
    Json,
    Key,
    Scalar,
    Site,
    State,
    make_key,
    split_key,
)


class Entries:
    """Reads accounts. extra: further attributes that requests may set."""

    def __init__(
        self, site: Site, directory: Directory, dialect: Dialect, extra: Sequence[str]
    ) -> None:
        self._site = site
        self._directory = directory
        self._dialect = dialect
        self._extra = extra
        self._asked = [
            dialect.schema.name, *dialect.control, *dialect.schema.attributes.values(), *extra
        ]  # fmt: skip

    def observe(self, keys: Collection[Key]) -> dict[Key, State | Fault]:
        """Return the state of accounts, read by name; an absent one is `present: False`."""
        names = {split_key(key)[2]: key for key in keys}
        schema = self._dialect.schema
        entries = self._directory.find(schema.name, names, self._asked, within=schema.filter)
        by_name: dict[str, list[Entry]] = {}
        for entry in entries:
            by_name.setdefault(self._name(entry), []).append(entry)
        return {key: self._only(key, by_name.get(name, [])) for name, key in names.items()}

    def _only(self, key: Key, entries: Sequence[Entry]) -> State | Fault:
        if len(entries) > 1:
            return Conflict(
                f"{key}: several entries have this name: {', '.join(e.dn for e in entries)}",
                advice="set `base` to a DN below which names are unique, or rename one of the "
                "entries",
            )
        return self._state(key, entries[0]) if entries else {"present": False}

    def sought(self, gone: Mapping[Key, Gone]) -> dict[Key, State | Fault]:
        """Return the states of accounts with the numbers or SIDs of some that are gone; `renamed`
        is the name of each."""
        within, base = self._dialect.schema.filter, self._directory.settings.base
        by_identity: dict[Scalar, list[Entry]] = {}
        for entry in bearing(self._directory, base, within, self._asked, gone.values()):
            state = self._dialect.read(entry, "")
            for value in (entry.number("uidNumber"), cast(Scalar, state["sid"])):
                by_identity.setdefault(value, []).append(entry)
        found: dict[Key, State | Fault] = {}
        for key, one in gone.items():
            known = {value for value in one.identity.values() if value is not None}
            entries = {e.dn: e for value in known for e in by_identity.get(value, ())}
            states = [self._state(key, entry) for entry in entries.values()]
            same = [s for s in states if is_that(one.identity, s["uid"], s["sid"])]
            # A number may have been given to somebody else since: our mark says that it was not.
            ours = mark_of(self._site.service, key)
            same = [s for s in same if s["mark"] == ours or (s["sid"] and one.identity.get("sid"))]
            if len(same) == 1:
                found[key] = {**same[0], "renamed": same[0]["name"]}
            elif same:
                found[key] = Conflict(
                    f"{key}: is gone, and several accounts have its number: "
                    f"{', '.join(str(state['dn']) for state in same)}",
                    advice="give each its own number in the directory",
                )
        return found

    def below(self, container: str) -> Iterable[tuple[Key, State]]:
        """Return the accounts of a container.

        Left out are accounts that come with the directory, and names that no request could have.
        """
        for entry in self._directory.search(container, self._dialect.schema.filter, self._asked):
            try:
                key = make_key(self._site.instance, "account", self._name(entry))
            except InvalidRequest:
                continue
            state = self._state(key, entry)
            if not self._dialect.is_built_in(state):
                yield key, state

    def _name(self, entry: Entry) -> str:
        return (entry.text(self._dialect.schema.name) or "").lower()

    def _state(self, key: Key, entry: Entry) -> State:
        fields: Mapping[str, Json] = {
            field: entry.number(name) if field in {"uid", "gid"} else entry.text(name)
            for field, name in self._dialect.schema.attributes.items()
        }
        return {
            "present": True,
            "name": self._name(entry),
            "dn": entry.dn,
            **dict.fromkeys(PERSON),
            **fields,
            "attributes": {name: entry.text(name) for name in self._extra},
            **self._dialect.read(entry, mark_of(self._site.service, key)),
        }
