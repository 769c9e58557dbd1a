"""The GPFS emulator's file system: filesets, quotas, ownership and ACLs in one JSON file.

Promises: ids, inode spaces, root inodes and rounding as read from real clusters; one writer at a
time (flock). Facts without a public source are marked `# invented:`.
Leaves out: data blocks, their usage (a switch sets it), users' and groups' quotas, AFM, snapshots.
Only the standard library, and little of it: every command starts an interpreter.
"""

# Importing pathlib would cost every command a third of its start.
# ruff: noqa: PTH103, PTH110, PTH118

from __future__ import annotations

import os
import time

from handlers.emulators import statefile

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from typing import Any

STATE, LOCK, FAULTS, UNLINKED = "state.json", "lock", "faults.json", "unlinked"

BLOCK_KIB = 4096
"""Block size: limits are rounded up to it (facts: 4194304 bytes is usual)."""

INODE_SPACE = 524288
"""Root inode of inode space n is n * 524288 + 3 (one of the three steps seen)."""


def create(base: str, filesystem: str, real_ownership: bool) -> None:
    """Make an empty file system under base, mounted at base/filesystem; keep an existing one."""
    os.makedirs(os.path.join(base, UNLINKED), exist_ok=True)
    mount = os.path.join(base, filesystem)
    os.makedirs(mount, exist_ok=True)
    if os.path.exists(os.path.join(base, STATE)):
        return
    root = _fileset("root", 0, 3, 0, True, "root fileset")
    root |= {"status": "Linked", "path": mount, "max": 65792, "alloc": 65792}
    state = {
        "filesystem": filesystem,
        "mount": mount,
        "real": real_ownership,
        "next_id": 1,
        "next_space": 1,
        "next_inode": {},
        "filesets": {"root": root},
        "quotas": {},
        "inodes": {str(os.lstat(mount).st_ino): root["inode"]},
        "paths": {mount: {"uid": 0, "gid": 0, "mode": 0o755}},
        "acls": [],
        "enforced": "user;group;fileset",
    }
    statefile.write(os.path.join(base, STATE), state)


def opened(base: str, write: bool = False) -> statefile.Held:
    """Hold the state under a lock; write it back if `write` is set and nothing was raised."""
    return statefile.Held(os.path.join(base, STATE), os.path.join(base, LOCK), changes=write)


def faults(base: str) -> dict[str, Any]:
    """Return the switches for tests (see `handlers.emulators.gpfs.mm`)."""
    try:
        switches: dict[str, Any] = statefile.load(os.path.join(base, FAULTS))
    except FileNotFoundError:
        return {}
    return switches


def release(base: str) -> str:
    """Return the cluster's minReleaseLevel."""
    return str(faults(base).get("release", "5.2.1.0"))


def round_up(number: int, step: int) -> int:
    """Round up to a multiple of step."""
    return -(-number // step) * step


def _fileset(
    name: str, number: int, inode: int, space: int, owner: bool, comment: str
) -> dict[str, Any]:
    return {
        "name": name,
        "id": number,
        "inode": inode,
        "space": space,
        "owner": owner,
        "comment": comment,
        "status": "Unlinked",
        "path": "",
        "parent": "--",
        "created": time.strftime("%a %b %e %H:%M:%S %Y"),
        "max": 0,
        "alloc": 0,
    }


def add_fileset(
    state: dict[str, Any], name: str, comment: str, space: str, limit: int, prealloc: int
) -> dict[str, Any]:
    """Add a fileset. space: `new`, or the name of an independent fileset; limits in inodes."""
    number = state["next_id"]
    state["next_id"] = number + 1
    if space == "new":
        space_id = state["next_space"]
        state["next_space"] = space_id + 1
        fileset = _fileset(name, number, space_id * INODE_SPACE + 3, space_id, True, comment)
        # Facts: 90000 reads back 90112, 100000 reads back 100352; 1M:50K is the GUI's default.
        fileset["max"] = round_up(limit, 1024)
        fileset["alloc"] = min(round_up(prealloc, 1024), fileset["max"])
    else:
        space_id = state["filesets"][space]["space"]
        # Facts: a dependent fileset's root inode lies inside its parent's space.
        inode = state["next_inode"].get(str(space_id), space_id * INODE_SPACE + 4)
        state["next_inode"][str(space_id)] = inode + 1
        fileset = _fileset(name, number, inode, space_id, False, comment)
    state["filesets"][name] = fileset
    return fileset


def holder(state: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the linked fileset that contains a path."""
    linked = [f for f in state["filesets"].values() if f["status"] == "Linked"]
    around = [f for f in linked if path == f["path"] or path.startswith(f["path"] + "/")]
    innermost: dict[str, Any] = max(around, key=lambda f: len(f["path"]))
    return innermost


def entry(state: dict[str, Any], path: str) -> dict[str, Any]:
    """Return what is kept of a path's ownership, mode and ACL, from the host's if unknown."""
    paths: dict[str, dict[str, Any]] = state["paths"]
    if path not in paths:
        status = os.lstat(path)
        paths[path] = {"uid": status.st_uid, "gid": status.st_gid, "mode": status.st_mode & 0o7777}
    return paths[path]


def acl_of(state: dict[str, Any], kept: dict[str, Any]) -> str:
    """Return the ACL that a path has beside its mode; '' if it has none."""
    text: str = state["acls"][kept["acl"]] if "acl" in kept else ""
    return text


def set_acl(state: dict[str, Any], kept: dict[str, Any], text: str) -> None:
    """Give a path an ACL. As in GPFS, equal ACLs are kept once."""
    acls: list[str] = state["acls"]
    if text not in acls:
        acls.append(text)
    kept["acl"] = acls.index(text)


def mode_of_acl(text: str) -> int:
    """Return the permission bits that an ACL's owner@, group@ and everyone@ entries show.

    # invented: how GPFS makes a mode of an ACL is in no public sample except `drwx------`.
    """
    shifts = {"owner@": 6, "group@": 3, "everyone@": 0}
    mode = 0
    for line in text.splitlines():
        parts = line.split(":")
        if parts[0] in {"special", "group"} and len(parts) >= 4 and parts[3] == "allow":
            shift = shifts.get(parts[1], 3)
            for letter, bit in (("r", 4), ("w", 2), ("x", 1)):
                mode |= bit << shift if letter in parts[2] else 0
    return mode
