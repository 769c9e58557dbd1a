"""Members of a group: the changes that add or remove them.

Promises: a member is added only to a group that has our mark, unless the group may be taken over;
many changes of one group are few modifies. Leaves out: reading members (`membership`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from handlers.ldap.directory.answers import Absent, Exists, Unwilling
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.text import chunks, same_dn
from handlers.ldap.renamed import is_called, now_called
from provisioner.contract import Change, Conflict, Json, Key, NotReady, State, Want

_MEMBERS = 1000
"""Members that one modify adds or removes: AD takes some 5,000 values in a request."""

_GROUP = "the step that provisions the group makes it; check that the route has that step"
_PRIMARY = (
    "give them another primary group first, such as Domain Users (`primaryGroupID` 513), then "
    "`provisioner retry` this request"
)
_USER = "the step that provisions the account makes it; check the route, and `users`"


def plan_member(key: Key, want: Want, state: State, ours: str) -> Sequence[Change]:
    """Return the change that adds or removes a member. ours: the mark of the group, if it exists.

    Raises Conflict for a group that somebody else keeps, for a user whose primary group it is, whom
    no directory removes, and for the next person of a member's name; NotReady if the group or the
    user does not exist.
    """
    group, user, wanted = want["group"], want["user"], bool(want["member"])
    # A request must not add members to a group that somebody else keeps, such as admins.
    touched = wanted or state["present"]
    if touched and state["group_dn"] and state["mark"] != ours and not want["adopt"]:
        raise Conflict(
            f"{key}: {state['group_dn']} was not made by this service, and does not have our mark",
            advice="if the service may take over the group, provision its project or allocation "
            "with `adopt: true`; or set `adopt: true` on the route's step that adds members",
            adoptable=True,
        )
    if wanted and state.get("renamed"):
        raise is_called(key, str(state["renamed"]))
    if state["present"] == wanted:
        return []
    if state["primary"]:
        raise Conflict(
            f"{key}: {group} is the primary group of {user}, so they stay in it", advice=_PRIMARY
        )
    if state["group_dn"] is None:
        raise NotReady(f"{key}: there is no group {group} yet", advice=_GROUP)
    if state["value"] is None:
        raise NotReady(f"{key}: there is no user {user} yet", advice=_USER)
    if wanted:
        _check_same(key, want, state)
    verb = "add-member" if wanted else "remove-member"
    text = f"add {user} to {group}" if wanted else f"remove {user} from {group}"
    data = {"dn": state["group_dn"], "value": state["value"]}
    return [Change(key, verb, text + now_called(state), 1, f"{verb}:{group}", data)]


def _check_same(key: Key, want: Want, state: State) -> None:
    """Raise Conflict if the account is not the one that was a member before.

    An account that is made again for the same person has another SID, under the same uid.
    """
    was = cast(Mapping[str, Json], want.get("was") or {})
    field = next((name for name in ("uid", "sid") if was.get(name) and state.get(name)), None)
    if field is None or was[field] == state[field]:
        return
    user, group = want["user"], want["group"]
    raise Conflict(
        f"{key}: {user} was in {group} with {field} {was[field]}; the account of that name has "
        f"{field} {state[field]}, so it may be another person's",
        advice=f"if it is, remove {user} from the project or allocation, which they may join again "
        f"as anybody; if it is the same person, remove and add them, or set the {field} back",
    )


def change_members(
    directory: Directory,
    attribute: str,
    members: Callable[[str], Sequence[str]],
    changes: Sequence[Change],
) -> None:
    """Add or remove many members of one group by few modifies.

    members: reads all members of a group, by its DN. A modify takes effect completely or not at
    all, and the server refuses it if one member is already in the group (68) or is not (53). The
    handler then reads the members, and writes only the rest.
    """
    adds = changes[0].verb == "add-member"
    dn = str(changes[0].data["dn"])

    def modify(values: Sequence[str]) -> None:
        change: Modification = ("add" if adds else "delete", attribute, values)
        directory.modify(dn, [change])

    for some in chunks([str(change.data["value"]) for change in changes], _MEMBERS):
        try:
            modify(some)
        except (Exists, Absent, Unwilling):
            present = {same_dn(one) for one in members(dn)}
            rest = [value for value in some if (same_dn(value) in present) is not adds]
            if len(rest) == len(some):
                raise
            if rest:
                modify(rest)
