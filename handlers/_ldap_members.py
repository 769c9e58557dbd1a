"""What a step says of a group, and what brings a member in or takes them away. Pure.

Promises: a member is brought only into a group that bears our mark, unless it may be taken over.
Leaves out: reading and writing members (`ad_group`).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from provisioner.contract import Change, Conflict, Key, KnownAfter, NotReady, State, Want

_GROUP = "it is made by the step that provisions the group; check that the route has one"
_USER = "it is made by the step that provisions the account; check the route, and `users`"


class Params(BaseModel):
    """What a step says about a group, or, with `user`, about one membership."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(description="name of the group", examples=["cf0003"])
    user: str | None = Field(None, description="member; without one it is about the group itself")
    gid: int | KnownAfter | None = Field(
        None, description="number of the group; without one it is taken from the handler's `ids`"
    )
    description: str | None = Field(None, max_length=200, description="what the group is for")
    adopt: bool = Field(
        False, description="take over a group, or bring a member into one, that was not made here"
    )


def plan_member(key: Key, want: Want, state: State, ours: str) -> Sequence[Change]:
    """List what brings a member in or takes them away. ours: the mark of the group, where it is.

    Raises Conflict for a group that somebody else keeps, NotReady where it or the user is missing.
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
    if state["group_dn"] is None:
        raise NotReady(f"{key}: there is no group {group} yet", advice=_GROUP)
    if state["value"] is None:
        raise NotReady(f"{key}: there is no user {user} yet", advice=_USER)
    verb = "add-member" if wanted else "remove-member"
    text = f"add {user} to {group}" if wanted else f"remove {user} from {group}"
    data = {"dn": state["group_dn"], "value": state["value"]}
    return [Change(key, verb, text, 1, f"{verb}:{group}", data)]
