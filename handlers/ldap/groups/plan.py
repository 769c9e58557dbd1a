"""The changes that make a group as wanted: want and state in, changes out. Pure.

Promises: the plan changes only a group that is ours or may be adopted; the group keeps its number.
Leaves out: its members (`members`), writing (`writes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handlers.ldap.fields import differences, in_words, keep_numbers
from handlers.ldap.marks import existing, mark_of
from handlers.ldap.numbers.kept import recalled, returning
from handlers.ldap.renamed import is_called
from provisioner.contract import Change, Json, Key, State, Want, owned


@dataclass(frozen=True, slots=True)
class GroupPlanner:
    """Plans for one directory. service: the service in our marks; gives_numbers: True if there is a
    range."""

    service: str
    gives_numbers: bool

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the changes to write. Raises Conflict."""
        if want["wanted"] != "open":
            return []
        if state.get("renamed"):
            raise is_called(key, f"{state['renamed']} ({state['dn']})")
        want = recalled(key, want, state)
        if not state["present"]:
            return [self._creation(key, want)]
        ours = mark_of(self.service, key)

        def note() -> Iterable[Change]:
            if state["mark"] != ours:
                data: dict[str, Json] = {"dn": state["dn"], "mark": ours, "note": state["note"]}
                yield Change(key, "adopt", "adopt: mark as ours", 0, "set", data)

        def changes() -> Iterable[Change]:
            return self._repairs(key, keep_numbers(key, want, state), state)

        adopt = bool(want.get("adopt"))
        return owned(key, existing(state, ours), changes, note, adopt=adopt)

    def _creation(self, key: Key, want: Want) -> Change:
        data: dict[str, Json] = {
            "name": want["group"],
            "gid": want.get("gid"),
            "description": want.get("description"),
            "take": want.get("gid") is None and self.gives_numbers,
        }
        text = f"create group {want['group']}{returning(want, 'gid')}"
        return Change(key, "create", text, 0, "create", data)

    def _repairs(self, key: Key, want: Want, state: State) -> Iterable[Change]:
        fields = differences(want, state, ("gid", "description"))
        text = in_words(fields, state)
        if "gid" in fields:
            data: dict[str, Json] = {"dn": state["dn"], "set": {"gidNumber": fields["gid"]}}
            yield Change(key, "set", in_words({"gid": fields.pop("gid")}, state), 0, "set", data)
        if fields:
            text = in_words(fields, state)
            data = {"dn": state["dn"], "old": state["description"], "new": fields["description"]}
            yield Change(key, "describe", text, 0, "set", data)
        if state["gid"] is None and want.get("gid") is None and self.gives_numbers:
            data = {"dn": state["dn"], "take": True}
            yield Change(key, "number", "give a gid from the range", 0, "number", data)
