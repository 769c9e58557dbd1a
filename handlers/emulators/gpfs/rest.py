"""What the emulated GUI answers: objects of the REST API v2 made from the emulator's state.

Promises: shapes as public sources show them; what none shows is marked `# invented:`.
Leaves out: fields that no client of ours reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from handlers.emulators.gpfs import store
from handlers.emulators.gpfs.filesets import grown
from handlers.emulators.gpfs.quotas import quota_row, user_row

_PERMISSIONS = (
    ("READ/LIST", "r"), ("WRITE/CREATE", "w"), ("APPEND/MKDIR", "m"), ("EXEC/SEARCH", "x"),
    ("DELETE_CHILD", "D"), ("DELETE", "d"), ("READ_ATTR", "a"), ("WRITE_ATTR", "A"),
    ("READ_NAMED", "n"), ("WRITE_NAMED", "N"), ("READ_ACL", "c"), ("WRITE_ACL", "C"),
    ("CHOWN", "o"), ("SYNCHRONIZE", "s"),
)  # fmt: skip
_FLAGS = (("FileInherit", "f"), ("DirInherit", "d"), ("InheritOnly", "i"), ("Inherited", "I"))


def filesystem(base: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file system."""
    switches = store.faults(base)
    enforced = "none" if switches.get("quotas") == "off" else state["enforced"]
    return {
        "name": state["filesystem"],
        "type": "local",
        "version": "22.00",
        "block": {"pools": "system", "blockSize": store.BLOCK_KIB * 1024},
        "mount": {"mountPoint": state["mount"], "status": "mounted"},
        "quota": {
            "quotasAccountingEnabled": enforced,
            "quotasEnforced": enforced,
            "defaultQuotasEnabled": "none",
            "perfilesetQuotas": _apart(base),
            "filesetdfEnabled": False,
        },
        "settings": {"ACLSemantics": switches.get("acl", "nfs4")},
    }


def fileset(base: str, state: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fileset."""
    now = grown(base, dict(kept))
    config = {
        "comment": now["comment"],
        "created": "2026-05-18 14:56:37,000",
        "iamMode": "off",
        "id": now["id"],
        "inodeSpace": now["space"],
        "isInodeSpaceOwner": now["owner"],
        "maxNumInodes": now["max"] if now["owner"] else 0,
        "path": now["path"] or "--",
        "permissionChangeMode": "chmodAndSetAcl",
        "rootInode": now["inode"],
        "status": now["status"],
    }
    if now["parent"] != "--":  # absent on root and where nothing is linked
        config["parentId"] = int(now["parent"])
    used = {"allocatedInodes": now["alloc"] if now["owner"] else 0}
    names = {"filesetName": now["name"], "filesystemName": state["filesystem"]}
    return {**names, "config": config, "usage": used}


def quotas(base: str, state: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the quotas of filesets, or of users, in KiB."""
    if kind == "USR":
        users = store.faults(base).get("users", {}).items()
        rows = [user_row(dict(state), *one) for one in users]
    else:
        rows = [quota_row(base, dict(state), name) for name in state["filesets"]]
    # A public sample of a user's row names root; invented: that a fileset's row does.
    return [_quota(row, kind, row.get("filesetname") or "root") for row in rows]


def _apart(base: str) -> bool:
    """Return True if the switch `users` counts them in each fileset apart."""
    return any(row.get("filesetname") for row in store.faults(base).get("users", {}).values())


def _quota(row: Mapping[str, str], kind: str, fileset: str) -> dict[str, Any]:
    numbers = re.compile(r"-?\d+")
    values: dict[str, Any] = {
        name: int(value) if numbers.fullmatch(value) else value
        for name, value in row.items()
        if name.startswith(("block", "files"))
    }
    return {
        **values,
        "filesystemName": row["filesystemName"],
        "filesetName": fileset,
        "isDefaultQuota": False,
        "objectId": int(row["id"]),
        "objectName": row["name"],
        "quotaType": kind,
    }


def acl(text: str) -> dict[str, Any]:
    """Return an ACL, from what mmgetacl prints."""
    entries: list[dict[str, str]] = []
    for line in text.splitlines():
        if match := re.match(r"(special|user|group):([^:]+):[^:]+:(\w+)(.*)", line.strip()):
            kind, who, verdict, tail = match.groups()
            flags = "".join(letter for name, letter in _FLAGS if f":{name}" in f"{tail}:")
            flags = flags if ":InheritOnly" in tail else flags.replace("i", "")
            entries.append(
                {"type": verdict, "who": f"{kind}:{who}", "permissions": "", "flags": flags}
            )
        elif entries and "(" in line:
            for name, letter in _PERMISSIONS:
                if f"(X){name} " in f"{line} ":
                    entries[-1]["permissions"] += letter
    return {"type": "NFSv4", "entries": entries}


def acl_text(body: Mapping[str, Any]) -> str:
    """Return the ACL of a request as mmputacl takes it."""
    lines = ["#NFSv4 ACL"]
    for entry in body["entries"]:
        letters = entry["permissions"]
        pairs = (("r", "r"), ("w", "w"), ("x", "x"), ("c", "C"))
        short = "".join(one if asked in letters else "-" for one, asked in pairs)
        flags = "".join(f":{name}" for name, letter in _FLAGS if letter in entry["flags"])
        lines.append(f"{entry['who']}:{short}:{entry['type']}{flags}")
        lines.append(
            " ".join(f"({'X' if letter in letters else '-'}){n}" for n, letter in _PERMISSIONS)
        )
        lines.append("")
    return "\n".join(lines)


def stat_text(path: str, printed: str) -> str:
    """Return what GNU stat prints of a path. printed: by `--printf '%u %g %f %i'`."""
    uid, gid, raw, inode = printed.split()
    mode = int(raw, 16)
    kind = {0o4: "directory", 0o12: "symbolic link"}.get(mode >> 12, "regular file")
    return (
        f"  File: {path}\n"
        f"  Size: 4096      \tBlocks: 8          IO Block: 262144 {kind}\n"
        f"Device: 2eh/46d\tInode: {inode}      Links: 2\n"
        f"Access: ({mode & 0o7777:04o}/d---------)  Uid: ({uid:>5}/ UNKNOWN)   "
        f"Gid: ({gid:>5}/ UNKNOWN)\n"
    )
