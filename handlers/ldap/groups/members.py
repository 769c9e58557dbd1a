"""Who is in a group: what brings a member in, or takes them away.

Promises: a member is brought only into a group that bears our mark, unless it may be taken over;
many changes of one group are few modifies. Leaves out: reading members (`membership`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from handlers.ldap.directory.answers import Absent, Exists, Unwilling
from handlers.ldap.directory.client import Directory, Modification
from handlers.ldap.directory.text import chunks, same_dn
from provisioner.contract import Change, Conflict, Key, NotReady, State, Want

_MEMBERS = 1000
"""Members that one modify adds or takes away: AD takes some 5,000 values in a request."""

_GROUP = "it is made by the step that provisions the group; check that the route has one"
_PRIMARY = (
    "give them another primary group first, such as Domain Users (`primaryGroupID` 513), then "
    "`provisioner retry` this request"
)
_USER = "it is made by the step that provisions the account; check the route, and `users`"


def plan_member(key: Key, want: Want, state: State, ours: str) -> Sequence[Change]:
    """List what brings a member in or takes them away. ours: the mark of the group, where it is.

    Raises Conflict for a group that somebody else keeps, and for one who is in it by their primary
    group, whom no directory takes out; NotReady where it or the user is missing.
    """
    group, user, wanted = want["group"], want["user"], bool(want["member"])
    # A name in a request must not lead into a group that somebody else keeps, such as admins.
    touched = wanted or state["present"]
    if touched and state["group_dn"] and state["mark"] != ours and not want["adopt"]:
        raise Conflict(
            f"{key}: {state['group_dn']} was not made here, and does not bear our mark",
            advice="provision its project or allocation with `adopt: true` if the group may be "
            "taken over; or give the step that brings members in `adopt: true` in its route",
        )
    if state["present"] == wanted:
        return []
    if state["primary"]:
        raise Conflict(
            f"{key}: {group} is the primary group of {user}, and keeps them in it", advice=_PRIMARY
        )
    if state["group_dn"] is None:
        raise NotReady(f"{key}: there is no group {group} yet", advice=_GROUP)
    if state["value"] is None:
        raise NotReady(f"{key}: there is no user {user} yet", advice=_USER)
    verb = "add-member" if wanted else "remove-member"
    text = f"add {user} to {group}" if wanted else f"remove {user} from {group}"
    data = {"dn": state["group_dn"], "value": state["value"]}
    return [Change(key, verb, text, 1, f"{verb}:{group}", data)]


def change_members(
    directory: Directory,
    attribute: str,
    members: Callable[[str], Sequence[str]],
    changes: Sequence[Change],
) -> None:
    """Add or take away many members of one group by few modifies.

    members: reads all members of a group, by its DN. A modify is all or nothing, and is refused
    when one member is there already (68) or is none (53): then what is there is read, and only the
    rest is written.
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
