"""Changes of filesets as calls of a transport.

Promises: one call for each fileset, or for all paths of one owner or mode.
Leaves out: whether a change may be made (`above`), and whether it holds (`plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.gpfs.transport import NewFileset, Transport
from provisioner.contract import Change, Permanent


def walked(transport: Transport, changes: Sequence[Change]) -> list[Change]:
    """Return the changes whose paths the cluster will walk, a new fileset's as that of its
    link."""
    changes = list(changes)
    if transport.makes_linked:
        changes = [_linked(change) if change.verb == "create" else change for change in changes]
    return [change for change in changes if "path" in change.data]


def _linked(change: Change) -> Change:
    data = {**change.data, "path": change.data["junction"]}
    return Change(change.key, "link", change.text, change.phase, change.group, data)


def write(transport: Transport, changes: Sequence[Change]) -> None:
    """Write changes of one group. Raises the faults of `Transport`."""
    first: Mapping[str, Any] = changes[0].data
    paths = [str(change.data["path"]) for change in changes if "path" in change.data]
    match changes[0].verb:
        case "create":
            where = first["parent"], first["inode_limit"], first["junction"]
            transport.create(NewFileset(first["name"], first["mark"], *where))
        case "mark":
            transport.comment(first["name"], first["comment"])
        case "set-quota":
            transport.set_quota(first["name"], first["quota"], first["files"])
        case "set-inode-limit":
            transport.set_inode_limit(first["name"], first["inode_limit"])
        case "link":
            transport.link(first["name"], first["path"])
        case "chown":
            transport.chown(paths, first["uid"], first["gid"])
        case "chmod":
            transport.chmod(paths, first["mode"])
        case "set-acl":
            transport.set_acl(first["path"], first["acl"])
        case verb:
            raise Permanent(f"{changes[0].key}: {verb!r} is not a change of a fileset")
