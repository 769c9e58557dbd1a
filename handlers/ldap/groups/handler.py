"""Groups and their members, in Active Directory, AD LDS or a plain RFC 2307 directory.

Promises: the handler makes a group once, with its number, and never deletes it. It adds or removes
a member without touching members that others keep, and only if the group has our mark or may be
adopted. It reads a list of any length in ranges, and writes many changes of one group in one
modify. Leaves out: nested groups, moving, members of other domains. A suspended membership is
removed and returns with its claim; a suspended or withdrawn group stays unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from handlers.ldap.directory.client import Directory, deletion
from handlers.ldap.directory.dialects import GROUPS
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.text import Entry, same_dn
from handlers.ldap.fields import holds, merge_claims, sets
from handlers.ldap.groups.entries import GroupEntries
from handlers.ldap.groups.members import change_members, plan_member
from handlers.ldap.groups.membership import Membership, Person
from handlers.ldap.groups.plan import GroupPlanner
from handlers.ldap.groups.settings import Params, Settings
from handlers.ldap.groups.writes import GroupWrites
from handlers.ldap.names import NAME, check_name, group_name
from handlers.ldap.numbers.kept import identity, numbers
from handlers.ldap.renamed import is_gone, nobody_claims, unclaimed
from provisioner.contract import (
    Bearers,
    Change,
    Claim,
    Claimed,
    Fault,
    Finding,
    Gone,
    InvalidRequest,
    Json,
    Key,
    Scalar,
    Site,
    State,
    Want,
    adapted,
    make_key,
    read_params,
    split_key,
)


class Groups:
    """Keys `INSTANCE/group/NAME` and `INSTANCE/member/GROUP/USER`."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane_name
        self._site = site
        self._settings = settings
        self._dialect = GROUPS[settings.profile]
        self._directory = Directory(settings, site.secret)
        users = settings.users or settings.base
        self._membership = Membership(self._directory, self._dialect, users)
        self._claimed: Claimed = nobody_claims
        self._entries = GroupEntries(site, self._directory, self._dialect)
        self._writes = GroupWrites(site, settings, self._directory, self._dialect)
        self._planner = GroupPlanner(site.service, settings.ids.container is not None)

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return the claim on a group or on one member. Raises InvalidRequest or Refused."""
        given: Params = _given(params)
        group = self._group(given.group)
        if given.user is not None:
            user = check_name("user", given.user, ())
            key = make_key(self._site.instance, "member", group, user)
            return {key: {"group": group, "user": user, "adopt": given.adopt}}
        self._settings.ids.check("gid", given.gid)
        want: dict[str, Any] = {**given.model_dump(exclude_none=True), "group": group}
        return {make_key(self._site.instance, "group", group): want}

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Return remarks on a description or a name that the directory holds in another form."""
        remarks = adapted(Params, params)
        code = str(params.get("group") or "")
        name = group_name(code, self._settings.prefix)
        if name != code.lower():
            remarks["group"] = (
                f"{code!r} is the group {name}: the directory does not take that name"
            )
        return remarks

    def _group(self, code: str) -> str:
        """Return the name of a code's group. Raises InvalidRequest, also for a protected name."""
        prefix = self._settings.prefix
        try:
            return check_name("group", group_name(code, prefix), self._settings.protected)
        except InvalidRequest as fault:
            if prefix is None and not NAME.match(code.lower()):
                fault.expected += "; or set `prefix` in the handler's settings, for other codes"
            raise

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Return one want; a member stays while one live claim wants them."""
        _, kind, *names = split_key(key)
        if kind == "member":
            live = any(not claim.suspended for claim in claims)
            # The withdrawn claim had added the member, or it was a Conflict from the start.
            adopt = not claims or any(bool(claim.want.get("adopt")) for claim in claims)
            return {"group": names[0], "user": names[1], "member": live, "adopt": adopt}
        return merge_claims(claims, prior)

    def prior(self, key: Key, state: State) -> State | None:
        """Return None: a membership returns with its claim."""
        return None

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the changes to write. Raises NotReady or Conflict."""
        if split_key(key)[1] == "member":
            return plan_member(key, want, state, self._entries.mark_of(str(want["group"])))
        return self._planner.plan(key, want, state)

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Return a group's description, if one is wanted."""
        return sets(want, ("description",))

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Return a group's description as it is."""
        return holds(state, ("description",))

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Return a group's number, which files and filesets depend on, or who a member is."""
        return identity(state)

    def numbers(self, key: Key, state: State) -> Mapping[str, int]:
        """Return a group's gid; a membership has no number."""
        return numbers(key, state)

    def heed(self, bearers: Bearers) -> None:
        """Ask the ledger, too, whose a number is."""
        self._writes.heed(bearers)

    def allotted(self) -> Mapping[str, range]:
        """Return the gids that are given out."""
        return self._writes.allotted()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Return a group's number, DN and SID."""
        return {name: state.get(name) for name in ("name", "gid", "dn", "sid")}  # type: ignore[misc]

    def removal(self, key: Key, state: State) -> Sequence[Sequence[str]]:
        """Return the command that deletes a group; a membership ends with its claim."""
        return deletion(self._directory, state) if split_key(key)[1] == "group" else []

    # Reading.

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Return the state of groups and members; each group is read once for all its members."""
        parts_of = {key: split_key(key) for key in keys}
        members = {key: parts[2:] for key, parts in parts_of.items() if parts[1] == "member"}
        find = self._entries.find_with_members if members else self._entries.find
        groups = find({parts[2] for parts in parts_of.values()})
        kept = {group for group, _ in members.values()} & groups.keys()
        listed = self._membership.listed(groups[group] for group in kept)
        people = self._membership.find({user for _, user in members.values()})
        states: dict[Key, State | Fault] = {
            key: self._entries.state(groups[parts[2]]) if parts[2] in groups else {"present": False}
            for key, parts in parts_of.items()
            if parts[1] == "group"
        }
        for key, (group, user) in members.items():
            states[key] = self._member(groups.get(group), people.get(user), listed)
        return states

    def _member(
        self, group: Entry | None, person: Person | None, listed: Mapping[str, Collection[str]]
    ) -> State:
        """Return the state of one membership. listed: the members of each group, by its DN."""
        primary = bool(group and person and person.is_in_by_itself(group))
        among = bool(group and person and same_dn(person.value) in listed[group.dn])
        return {
            "present": primary or among,
            "primary": primary,
            "group_dn": group.dn if group else None,
            "mark": self._entries.mark(group) if group else "",
            "value": person.value if person else None,
            "uid": person.uid if person else None,
            "sid": person.sid if person else None,
        }

    def ask(self, claimed: Claimed) -> None:
        """Ask the ledger, too, who claims a membership by its new name."""
        self._claimed = claimed

    def sought(self, gone: Mapping[Key, Gone]) -> Mapping[Key, State | Fault]:
        """Return groups that somebody renamed, and memberships in these, or of renamed people."""
        groups = self._entries.marked({g for k, g in _groups(gone) if self._lost(g, gone[k].state)})
        found: dict[Key, State | Fault] = {
            key: {**self._entries.state(groups[name]), "renamed": self._entries.name(groups[name])}
            for key, name in _groups(gone)
            if name in groups and split_key(key)[1] == "group" and not gone[key].state["present"]
        }
        found |= self._members_of(gone, groups)
        return unclaimed(found, self._site.instance, self._claimed)

    def _lost(self, group: str, state: State) -> bool:
        """Return True if a group is gone, or another one has the name of a membership's group."""
        if "group_dn" not in state:
            return not state["present"]
        return state["group_dn"] is None or state["mark"] != self._entries.mark_of(group)

    def _members_of(
        self, gone: Mapping[Key, Gone], renamed: Mapping[str, Entry]
    ) -> dict[Key, State | Fault]:
        """Return memberships in renamed groups, by the names that these had, or of renamed
        people."""
        every = {key: split_key(key)[2:] for key in gone if split_key(key)[1] == "member"}
        people = self._membership.renamed(
            {user: gone[key] for key, (_, user) in every.items() if is_gone(gone[key])}
        )
        names = {key: (g, u) for key, (g, u) in every.items() if g in renamed or u in people}
        groups = dict(renamed)
        groups |= self._entries.find_with_members({g for g, _ in names.values()} - groups.keys())
        people |= self._membership.find({u for _, u in names.values()} - people.keys())
        listed = self._membership.listed(groups.values())
        found: dict[Key, State | Fault] = {}
        for key, (group, user) in names.items():
            state = self._member(groups.get(group), people.get(user), listed)
            if state["present"]:
                new = f"{self._entries.name(groups[group])}/{people[user].name}"
                found[key] = {**state, "renamed": new}
        return found

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Return the groups of our container, and their members that are users.

        Names that no request could have are left out.
        """
        entries = self._entries.below(self._settings.container)
        for entry in entries:
            if (key := self._key("group", self._entries.name(entry))) is not None:
                yield key, self._entries.state(entry)
        for entry, person in self._membership.everybody(entries):
            if (key := self._key("member", self._entries.name(entry), person.name)) is not None:
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

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Return a fault for each number in a request that is already another's."""
        return self._writes.foresee(changes)

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one group; each may be written again."""
        if changes[0].verb in {"add-member", "remove-member"}:
            change_members(self._directory, self._dialect.member, self._membership.read, changes)
        else:
            self._writes.apply(changes)


def _groups(keys: Iterable[Key]) -> list[tuple[Key, str]]:
    """Return the group of each group or membership."""
    return [(key, split_key(key)[2]) for key in keys]


def _given(params: Mapping[str, object]) -> Params:
    """Return parameters; an empty one counts as not given. Raises InvalidRequest."""
    given = {name: value for name, value in params.items() if value is not None and value != ""}
    return read_params(Params, given)
