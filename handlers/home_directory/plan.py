"""What a home has to be, and what is written so that it is: claims, want and state in. Pure.

Promises: a home is not taken from another owner; a closed one belongs to root, so that its user
cannot open it again, has the sticky bit to be told from root's other directories, and opens only
to whom it belonged. None is made or given where others than admins could exchange it.
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
    Key,
    Permanent,
    State,
    Want,
    closed_home,
)


def merge(settings: Settings, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
    """Merge claims: closed unless one is live. Raises Conflict where they want two owners."""
    live = [claim for claim in claims if not claim.suspended]
    merged: dict[str, Any] = {}
    for claim in sorted(live or claims, key=lambda claim: claim.claimant):
        for name, wanted in claim.want.items():
            if name in ("uid", "gid") and merged.get(name, wanted) != wanted:
                raise Conflict(f"{key}: two claims want {name} {merged[name]} and {wanted}")
            if wanted is not None:
                merged[name] = wanted
    closed, before = not live, prior or {}
    # Of another person's home that had the name, nothing comes back.
    own = before.get("mode") if before.get("uid") == merged.get("uid") else None
    mode = merged.get("mode") or (_kept(settings, str(own)) if own else settings.mode)
    return {
        **merged,
        "present": bool(claims),
        "closed": closed,
        "belonged": before.get("uid"),
        "mode": f"{CLOSED_HOME | octal(settings.closed_mode):04o}" if closed else mode,
        "acl": None if closed else whole(settings.acl, mode),
    }


def _kept(settings: Settings, mode: str) -> str:
    """Return what comes back of the mode that a user gave their home.

    A user may give it to everybody; the service does not, nor does the agent let it.
    """
    return f"{octal(mode) & (0o3755 | octal(settings.mode)):04o}"


def saved(state: State) -> State | None:
    """Return owner and mode of an open home; None: it is closed, or nobody's."""
    # What bears the mark is being closed, whosesoever it is yet.
    if not state["present"] or state["uid"] == 0 or closed_home(octal(state["mode"])):
        return None
    own = [entry[-3:] for entry in entries(state["acl"]) if entry.startswith("g::")]
    mode = octal(state["mode"])
    mode = mode & ~0o070 | value(own[0]) << 3 if own else mode
    return {"uid": state["uid"], "mode": f"{mode:04o}"}


def plan(settings: Settings, key: Key, want: Want, state: State) -> Sequence[Change]:
    """List what to write. Raises Conflict or Permanent."""
    if not state["present"]:
        if want["closed"]:
            return ()
        _check_above(key, state)
        return [_make(key, want, state)]
    if state["kind"] != "directory":
        raise Conflict(
            f"{key}: {state['path']} is a {state['kind']}", advice="look who put it there"
        )
    # Root's is what is closed, or half way there: it belongs to whom it was taken from.
    belongs = state["uid"] or want["belonged"] or 0
    if not want["present"] and cast(int, belongs) < settings.min_id:
        return ()
    # One that was closed under a journal that is lost belongs to nobody known: it stays closed.
    stays = want["closed"] and not belongs and closed_home(octal(state["mode"]))
    if want["present"] and belongs != want["uid"] and not stays and not want.get("adopt"):
        raise Conflict(f"{key}: {state['path']} belongs to {belongs}, wanted for {want['uid']}")
    changes = list(_repairs(key, want, state))
    if changes and not want["closed"]:
        _check_above(key, state)
    return changes


def _repairs(key: Key, want: Want, state: State) -> Iterable[Change]:
    # The owner comes before the mode. Closing, nobody but root can then open it again; opening,
    # it lets in nobody until it is its user's. The group stays: root's would be let in by the
    # mode that is still there.
    closed = want["closed"]
    uid, gid = (0, state["gid"]) if closed else (want["uid"], want["gid"])
    if (state["uid"], state["gid"]) != (uid, gid):
        text = f"owner {state['uid']}:{state['gid']} -> {uid}:{gid}"
        yield Change(key, "set-owner", text, 2, key, {"uid": uid, "gid": gid})
    # With an ACL, the group's permission bits are its mask, and a chmod sets that.
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
    """Refuse to make or to give a home that others than admins could exchange (docs/adr/0019)."""
    if state.get("above"):
        raise Permanent(
            f"{key}: {state['above']}: who is no admin could exchange what lies below it, and no "
            "home is made or given there",
            advice="mend that, then `provisioner retry`; to suspend works wherever a home lies",
        )
