"""The changes that make an account as wanted: want and state in, changes out. Pure.

Promises: the plan changes only an entry that is ours or may be adopted, and never makes it another
person's; the want wins over what somebody did by hand. Leaves out: writing (`handler`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from handlers.ldap.accounts.dialect import Dialect
from handlers.ldap.fields import differences, in_words, keep_numbers
from handlers.ldap.marks import existing, mark_of
from handlers.ldap.numbers.kept import of_same_person, recalled, remade, returning
from handlers.ldap.renamed import is_called, now_called
from provisioner.contract import Change, Conflict, Json, Key, State, Want, owned


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans for one directory. service: the service in our marks; gives_numbers: True if there is a
    range."""

    dialect: Dialect
    service: str
    gives_numbers: bool

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the changes to write. Raises Conflict."""
        want = of_same_person(want)
        if not state["present"]:
            return [self._creation(key, want)] if want["wanted"] == "open" else []
        if state.get("renamed") and want["wanted"] == "open":
            raise is_called(key, f"{state['renamed']} ({state['dn']})")
        ours = mark_of(self.service, key)
        return owned(
            key,
            existing(state, ours),
            lambda: self._repairs(key, want, state, ours),
            lambda: self._adoption(key, want, state, ours),
            claimed=want["wanted"] != "withdrawn",
            adopt=bool(want.get("adopt")),
        )

    def _adoption(self, key: Key, want: Want, state: State, ours: str) -> Iterable[Change]:
        """Return the notes that an entry lacks: our mark, and the SID if no attribute holds it."""
        notes = [] if state["mark"] else [ours]
        if want["wanted"] == "open" and want.get("sid") and not state["sid"]:
            notes.append(f"sid:{want['sid']}")
        if notes:
            text = "adopt: mark as ours" if ours in notes else "bind to the SID"
            operation, attribute, values = self.dialect.noted(notes, state)
            data: dict[str, Json] = {"dn": state["dn"], "note": [operation, attribute, [*values]]}
            yield Change(key, "adopt", text, 0, "set", data)

    def _creation(self, key: Key, want: Want) -> Change:
        want = remade(key, want)
        fields = {n: want[n] for n in self.dialect.schema.attributes if want.get(n) is not None}
        data: dict[str, Json] = {
            "name": want["name"],
            "fields": fields,
            "sid": want.get("sid"),
            "attributes": want.get("attributes") or {},
            "take": self._takes(want),
        }
        text = f"create account {want['name']}{returning(want, 'uid')}"
        return Change(key, "create", text, 0, "create", data)

    def _repairs(self, key: Key, want: Want, state: State, ours: str) -> Iterable[Change]:
        dn, is_open = state["dn"], want["wanted"] == "open"
        _check_person(key, want, state)
        if is_open and not want.get("as_before"):
            want = keep_numbers(key, recalled(key, want, state), state)
            yield from self._fields(key, want, state)
        if state.get("unfinished"):
            if is_open:
                data: dict[str, Json] = {"dn": dn, "mark": ours}
                yield Change(key, "finish", "set first password, enable", 1, "finish", data)
            return
        if state["enabled"] != is_open:
            verb, text = _switch(want)
            data = {"dn": dn, "set": self.dialect.switched(want, state)}
            yield Change(key, verb, text + now_called(state), 2, "set", data)

    def _fields(self, key: Key, want: Want, state: State) -> Iterable[Change]:
        names = self.dialect.schema.attributes
        fields = self.dialect.written(differences(want, state, names), want, state)
        if fields:
            wanted = {names.get(field, field): value for field, value in fields.items()}
            data: dict[str, Json] = {"dn": state["dn"], "set": wanted}
            yield Change(key, "set", in_words(fields, state), 0, "set", data)
        if self._takes(want) and state["uid"] is None:
            data = {"dn": state["dn"], "take": True, "sid": want.get("sid"), "gid": state["gid"]}
            yield Change(key, "number", "give a uid from the range", 0, "number", data)

    def _takes(self, want: Want) -> bool:
        return want.get("uid") is None and self.gives_numbers


def as_before(want: Want, prior: State) -> Want:
    """Return the want that opens a closed account as it was, whatever its claims want."""
    kept = {name: want.get(name) for name in ("name", "sid", "wanted", "prior", "adopt")}
    return {**kept, "shell": prior.get("shell"), "as_before": True}


def _check_person(key: Key, want: Want, state: State) -> None:
    sid = want.get("sid")
    if sid and state["sid"] and sid != state["sid"]:
        raise Conflict(
            f"{key}: {state['dn']} belongs to {state['sid']}, but the request is for {sid}",
            advice="the name now belongs to another person: choose another name, or archive the "
            "old account by hand; the service never gives it to somebody else",
        )


def _switch(want: Mapping[str, Json]) -> tuple[str, str]:
    """Return verb and text of the change that enables or disables an account.

    The want wins: while a claim keeps an account open, the service enables it even if somebody
    disabled it by hand. The text says so, for anyone who had a reason to disable it.
    """
    if want["wanted"] != "open":
        return "disable", "disable the account"
    if want.get("prior") is not None:
        return "enable", "enable the account"
    return "enable", "enable the account: it was disabled by hand; to keep it closed, suspend it"
