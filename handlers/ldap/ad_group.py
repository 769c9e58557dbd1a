"""Groups and their members, in Active Directory, AD LDS or a plain RFC 2307 directory.

Promises: a group is made once, with its number, and never deleted; a member is added or taken
away by itself, so that members which others keep stay, and only where the group bears our mark,
unless it may be adopted; a list of any length is read in ranges, and many changes of one group are
one modify.
Leaves out: nested groups, moving, members of other domains. A suspended membership is taken away
and comes back with its claim; a suspended or withdrawn group stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from handlers.ldap.account import (
    NAME,
    check_name,
    check_ownership,
    differences,
    find_mark,
    holds,
    in_words,
    keep_numbers,
    mark_of,
    merge_account,
    read_account,
    sets,
    without_marks,
)
from handlers.ldap.directory.answers import Exists
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.dialects import GROUPS
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.sid import sid_text
from handlers.ldap.directory.text import Entry, child, same_dn
from handlers.ldap.group import Params, Settings
from handlers.ldap.members import change_members, plan_member
from handlers.ldap.membership import Membership, Person
from handlers.ldap.names import group_name
from handlers.ldap.numbers.ids import Numbers, Taken, named
from handlers.ldap.numbers.kept import (
    ambiguous,
    former,
    given_back,
    identity,
    owner_of,
    recalled,
    returned,
    returning,
)
from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Finding,
    Handler,
    InvalidRequest,
    Json,
    Key,
    Scalar,
    Site,
    State,
    Want,
    adapted,
    make_key,
    read_settings,
    split_key,
)

__all__ = ["AdGroup", "Params", "Settings", "build"]


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler; raises ConfigError naming the setting."""
    return AdGroup(site, read_settings(Settings, settings))


class AdGroup:
    """Keys `INSTANCE/group/NAME` and `INSTANCE/member/GROUP/USER`."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane_name
        self._site = site
        self._settings = settings
        self._dialect = GROUPS[settings.profile]
        self._directory = Directory(settings, site.secret)
        users = settings.users or settings.base
        self._membership = Membership(self._directory, self._dialect, users)
        self._numbers = Numbers(
            self._directory, settings.ids, "gidNumber", settings.base, self._dialect.ids
        )

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Speak of a group or of one member. Raises InvalidRequest or Refused."""
        given: Params = read_account(Params, params)
        group = self._group(given.group)
        if given.user is not None:
            user = check_name("user", given.user, ())
            key = make_key(self._site.instance, "member", group, user)
            return {key: {"group": group, "user": user, "adopt": given.adopt}}
        self._settings.ids.check("gid", given.gid)
        want: dict[str, Any] = {**given.model_dump(exclude_none=True), "group": group}
        return {make_key(self._site.instance, "group", group): want}

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Say what of a description is held otherwise than it was written."""
        told = adapted(Params, params)
        code = str(params.get("group") or "")
        name = group_name(code, self._settings.prefix)
        if name != code.lower():
            told["group"] = f"{code!r} is the group {name}: the directory takes no such name"
        return told

    def _group(self, code: str) -> str:
        """Give the name of a code's group. Raises InvalidRequest, for a protected name too."""
        prefix = self._settings.prefix
        try:
            return check_name("group", group_name(code, prefix), self._settings.protected)
        except InvalidRequest as fault:
            if prefix is None and not NAME.match(code.lower()):
                fault.expected += "; or `prefix` in the handler's settings, for codes that are not"
            raise

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Merge claims; a member stays while one live claim wants them."""
        _, kind, *names = split_key(key)
        if kind == "member":
            live = any(not claim.suspended for claim in claims)
            # Whose claim is taken back was brought in by it, or it was a Conflict from the start.
            adopt = not claims or any(bool(claim.want.get("adopt")) for claim in claims)
            return {"group": names[0], "user": names[1], "member": live, "adopt": adopt}
        return merge_account(claims, prior)

    def prior(self, key: Key, state: State) -> State | None:
        """Save nothing: a membership comes back by its claim."""
        return None

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """List what to write; raises NotReady or Conflict."""
        if split_key(key)[1] == "member":
            group = make_key(self._site.instance, "group", str(want["group"]))
            return plan_member(key, want, state, mark_of(self._site.service, group))
        if want["wanted"] != "open":
            return []
        want = recalled(key, want, state)
        if not state["present"]:
            return [self._creation(key, want)]
        ours = mark_of(self._site.service, key)
        want = keep_numbers(key, want, state)
        changes = list(self._repairs(key, want, state))
        words = "; ".join(change.text for change in changes)
        check_ownership(key, ours, state, bool(want.get("adopt")), words)
        if state["mark"] != ours:
            data: dict[str, Json] = {"dn": state["dn"], "mark": ours, "note": state["note"]}
            changes.insert(0, Change(key, "adopt", "adopt: mark as ours", 0, "set", data))
        return changes

    def _creation(self, key: Key, want: Want) -> Change:
        data: dict[str, Json] = {
            "name": want["group"],
            "gid": want.get("gid"),
            "description": want.get("description"),
            "take": want.get("gid") is None and self._gives_numbers,
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
        if state["gid"] is None and want.get("gid") is None and self._gives_numbers:
            data = {"dn": state["dn"], "take": True}
            yield Change(key, "number", "give a gid of the range", 0, "number", data)

    @property
    def _gives_numbers(self) -> bool:
        return self._settings.ids.container is not None

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Name a group's description, where one is wanted."""
        return sets(want, ("description",))

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Say what a group's description is."""
        return holds(state, ("description",))

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Name a group's number, which files and filesets hang on."""
        return identity(state)

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Name a group's number, DN and SID."""
        return {name: state.get(name) for name in ("name", "gid", "dn", "sid")}  # type: ignore[misc]

    # Reading.

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Read groups by name, each once however many of its members are asked for."""
        asked = {key: split_key(key) for key in keys}
        members = {key: parts[2:] for key, parts in asked.items() if parts[1] == "member"}
        also = [self._dialect.member] if members else []
        groups = self._groups({parts[2] for parts in asked.values()}, also)
        kept = {group for group, _ in members.values()} & groups.keys()
        listed = self._membership.listed(groups[group] for group in kept)
        people = self._membership.find({user for _, user in members.values()})
        states: dict[Key, State | Fault] = {
            key: self._state(key, groups[parts[2]]) if parts[2] in groups else {"present": False}
            for key, parts in asked.items()
            if parts[1] == "group"
        }
        for key, (group, user) in members.items():
            states[key] = self._member(groups.get(group), people.get(user), listed)
        return states

    def _member(
        self, group: Entry | None, person: Person | None, listed: Mapping[str, Collection[str]]
    ) -> State:
        """Say whether somebody is in a group. listed: who is, by the DN of each group."""
        primary = bool(group and person and person.is_in_by_itself(group))
        among = bool(group and person and same_dn(person.value) in listed[group.dn])
        return {
            "present": primary or among,
            "primary": primary,
            "group_dn": group.dn if group else None,
            "mark": self._mark(group) if group else "",
            "value": person.value if person else None,
        }

    def _groups(self, names: Collection[str], also: Sequence[str] = ()) -> dict[str, Entry]:
        """Find groups by name; also: what is asked for beside what every state has."""
        found = self._directory.find(
            self._dialect.name, names, [*self._asked(), *also], within=self._dialect.found
        )
        return {self._name(entry): entry for entry in found}

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """List the groups of our container, and those of their members that are users.

        What has a name that no request could bear is left out.
        """
        asked = [*self._asked(), self._dialect.member]
        found = self._directory.search(self._settings.container, self._dialect.found, asked)
        for entry in found:
            if (key := self._key("group", self._name(entry))) is not None:
                yield key, self._state(key, entry)
        for entry, person in self._membership.everybody(found):
            if (key := self._key("member", self._name(entry), person.name)) is not None:
                yield key, self._member(entry, person, {entry.dn: [same_dn(person.value)]})

    def _key(self, *parts: str) -> Key | None:
        try:
            return make_key(self._site.instance, *parts)
        except InvalidRequest:
            return None

    def check(self) -> Sequence[Finding]:
        """Check servers, bind and the right to make groups."""
        places = {"container": (self._settings.container, self._dialect.classes[-1])}
        if self._settings.ids.container:
            made = self._settings.ids.object_class or self._dialect.ids
            places["ids.container"] = (self._settings.ids.container, made)
        return check_directory(self._directory, self._site.instance, places)

    def _asked(self) -> list[str]:
        return [self._dialect.name, "gidNumber", "objectSid", "description", "info"]

    def _name(self, entry: Entry) -> str:
        return (entry.text(self._dialect.name) or "").lower()

    def _mark(self, entry: Entry) -> str:
        """Give the mark that a group bears: ours, another's or none."""
        key = "/".join((self._site.instance, "group", self._name(entry)))
        return find_mark(entry.texts(self._dialect.note), mark_of(self._site.service, key))

    def _state(self, key: Key, entry: Entry) -> State:
        sid = entry.raw("objectSid")
        return {
            "present": True,
            "name": self._name(entry),
            "dn": entry.dn,
            "gid": entry.number("gidNumber"),
            "sid": sid_text(sid) if sid else None,
            "description": next(iter(without_marks(entry.texts("description"))), None),
            "mark": self._mark(entry),
            "note": entry.text("info"),
        }

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Find numbers that are another's already, of those that requests name."""
        had = former(self._numbers, changes)
        asked = [*named(changes, "gid", "gidNumber", owner_of), *returned(changes, had)]
        bears, within = self._dialect.name, self._dialect.found
        taken = self._numbers.taken(asked, bears=bears, within=within)
        return {**taken, **ambiguous(changes, had)}

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group; each may be written again."""
        if changes[0].verb in {"add-member", "remove-member"}:
            change_members(self._directory, self._dialect.member, self._membership.read, changes)
            return
        changes = given_back(changes, former(self._numbers, changes))
        taken = self._numbers.take([owner_of(c) for c in changes if c.data.get("take")])
        writes = {"create": self._create, "set": self._set, "describe": self._describe}
        writes |= {"adopt": self._adopt, "number": self._number}
        self._directory.each(lambda change: writes[change.verb](change, taken), changes)
        self._numbers.settle(taken)

    def _create(self, change: Change, taken: Taken) -> None:
        name, mark = str(change.data["name"]), mark_of(self._site.service, change.key)
        dn = child("cn", name, self._settings.container)
        texts: Any = change.data["description"]
        notes: dict[str, list[str]] = {"description": [texts] if texts else []}
        notes.setdefault(self._dialect.note, []).append(mark)
        self._hold(change, change.data["gid"])
        number: Any = taken.numbers.get(owner_of(change), change.data["gid"])
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
            if not self._groups([name]):
                raise Conflict(
                    f"{change.key}: {dn} is there, or its name is in use, and it is no group",
                    advice="choose another name for the group, or rename what has it",
                ) from None

    def _hold(self, change: Change, number: object) -> None:
        """Hold a gid that a request named; a user's primary group is no bearer of it."""
        if isinstance(number, int):
            name, bears = split_key(change.key)[2], self._dialect.name
            within = self._dialect.found
            self._numbers.hold(owner_of(change), number, name=name, bears=bears, within=within)

    def _set(self, change: Change, _: Taken) -> None:
        wanted: Any = change.data["set"]
        self._hold(change, wanted.get("gidNumber"))
        self._directory.replace(str(change.data["dn"]), wanted)

    def _describe(self, change: Change, _: Taken) -> None:
        """Change the description by itself: where marks stand beside it, they stay."""
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
        number = taken.numbers[owner_of(change)]
        self._directory.modify(str(change.data["dn"]), [("replace", "gidNumber", [number])])
