"""What a home should be, and the changes that make it so, from claims, want and state. Pure.

Promises: the plan takes no home from another owner. A closed home belongs to root, so its user
cannot open it again; the sticky bit tells it from root's other directories; it opens only to its
former owner. The plan makes or gives no home where users who are not admins could replace it.
Leaves out: writing (`handler`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from handlers.home_directory.permissions import entries, mask, octal, value, whole
from handlers.home_directory.settings import Settings
from provisioner.contract import (
    CLOSED_HOME,
    Change,
    Claim,
    Conflict,
    Existing,
    Key,
    Permanent,
    State,
    Want,
    Whose,
    closed_home,
    owned,
)


def merge(settings: Settings, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
    """Merge claims; the home is closed unless one is live. Raises Conflict for two owners."""
    live = [claim for claim in claims if not claim.suspended]
    merged: dict[str, Any] = {}
    for claim in sorted(live or claims, key=lambda claim: claim.claimant):
        for name, wanted in claim.want.items():
            if name in ("uid", "gid") and merged.get(name, wanted) != wanted:
                raise Conflict(f"{key}: two claims want {name} {merged[name]} and {wanted}")
            if wanted is not None:
                merged[name] = wanted
    closed, before = not live, prior or {}
    # If the name was another person's, nothing of that home comes back.
    own = before if before.get("uid") == merged.get("uid") and before.get("mode") else None
    mode = merged.get("mode") or (kept(settings, own) if own else settings.mode)
    return {
        **merged,
        "present": bool(claims),
        "closed": closed,
        "belonged": before.get("uid"),
        "mode": f"{CLOSED_HOME | octal(settings.closed_mode):04o}" if closed else mode,
        "acl": None if closed else whole(settings.acl, mode),
    }


def kept(settings: Settings, prior: State) -> str:
    """Return the part of a user's own mode that the service sets again.

    A user may open their home to everybody; the service does not, and the agent forbids it.
    """
    return f"{octal(prior['mode']) & (0o3755 | octal(settings.mode)):04o}"


def saved(state: State) -> State | None:
    """Return owner and mode of an open home; None if it is closed or has no owner but root."""
    # A home with the mark is being closed, even if its user still owns it.
    if not state["present"] or state["uid"] == 0 or closed_home(octal(state["mode"])):
        return None
    own = [entry[-3:] for entry in entries(state["acl"]) if entry.startswith("g::")]
    mode = octal(state["mode"])
    mode = mode & ~0o070 | value(own[0]) << 3 if own else mode
    return {"uid": state["uid"], "mode": f"{mode:04o}"}


def plan(settings: Settings, key: Key, want: Want, state: State) -> Sequence[Change]:
    """Return the changes to write. Raises Conflict or Permanent."""
    if not state["present"]:
        if want["closed"]:
            return ()
        _check_above(key, state)
        return [_make(key, want, state)]
    if state["kind"] != "directory":
        raise Conflict(
            f"{key}: {state['path']} is a {state['kind']}", advice="find out who put it there"
        )
    claimed, adopt = bool(want["present"]), bool(want.get("adopt"))
    found = _existing(settings, want, state)
    changes = owned(key, found, lambda: _repairs(key, want, state), claimed=claimed, adopt=adopt)
    if changes and not want["closed"]:
        _check_above(key, state)
    return changes


def _existing(settings: Settings, want: Want, state: State) -> Existing:
    """Say whose a home is: its owner says so, as it has no place for a mark."""
    # A home of root is closed or half closed: it belongs to its former owner.
    belongs = cast(int, state["uid"] or want["belonged"] or 0)
    if want["present"]:
        # If the journal that knew the former owner is lost, nobody is known: it stays closed.
        stays = want["closed"] and not belongs and closed_home(octal(state["mode"]))
        ours = belongs == want["uid"] or stays
    else:
        ours = belongs >= settings.min_id  # whom it was claimed for is not known any more
    whose = Whose.OURS if ours else Whose.NOBODYS
    differs = "" if ours else f"its owner would be {want.get('uid')}"
    return Existing(str(state["path"]), whose, f"belongs to {belongs}", differs)


def _repairs(key: Key, want: Want, state: State) -> Iterable[Change]:
    # The owner comes before the mode. When closing, only root can then open it again; when
    # opening, it lets nobody in until it is its user's. The group stays, because the mode that is
    # still set would let in root's group.
    closed = want["closed"]
    uid, gid = (0, state["gid"]) if closed else (want["uid"], want["gid"])
    if (state["uid"], state["gid"]) != (uid, gid):
        text = f"owner {state['uid']}:{state['gid']} -> {uid}:{gid}"
        yield Change(key, "set-owner", text, 2, key, {"uid": uid, "gid": gid})
    # With an ACL, the group's permission bits are the mask, and chmod sets the mask.
    mode = f"{octal(want['mode']) | mask(want['acl']) << 3:04o}"
    if octal(mode) != octal(state["mode"]):
        text = f"mode {state['mode']} -> {mode}"
        yield Change(key, "set-mode", text, 4, key, {"mode": mode})
    if want["acl"] is not None and entries(want["acl"]) != entries(state["acl"]):
        text = f"ACL {state['acl'] or 'none'} -> {want['acl'] or 'none'}"
        yield Change(key, "set-acl", text, 3, key, {"acl": want["acl"]})


def _make(key: Key, want: Want, state: State) -> Change:
    data = {name: want[name] for name in ("uid", "gid", "mode")}
    text = f"make {state['path']} for {want['uid']}:{want['gid']}, mode {want['mode']}"
    return Change(key, "make", text, 1, key, data)


def _check_above(key: Key, state: State) -> None:
    """Refuse a home that users who are not admins could replace (docs/adr/0019)."""
    if state.get("above"):
        raise Permanent(
            f"{key}: {state['above']}: somebody who is not an admin could replace what lies below "
            "it, so no home is made or given there",
            advice="fix that, then `provisioner retry`; suspending works wherever a home is",
        )
