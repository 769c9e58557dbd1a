"""JSON of the REST API v2 as the records that mmlsfileset and mmrepquota would give, and back.

Promises: a value that is missing, or has another type, raises Unreadable with the object's name;
nothing is invented. Numbers may come as text: examples of IBM have them so. Pure.
Leaves out: ACLs (`acls`), requests (`client`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from handlers.gpfs.terms.rows import Record, Unreadable
from handlers.gpfs.transport import Entry, Facts, NewFileset
from provisioner.contract import Json

Object = Mapping[str, Any]


def _part(thing: Object, name: str) -> Object:
    part = thing.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object, name: str) -> str:
    """Return a scalar as the mm commands write it; '' if it is missing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int):
        return str(value)
    raise Unreadable(f"{name} is {value!r}")


def fileset(thing: Object) -> Record:
    """Return a fileset as a row of mmlsfileset."""
    config, usage = _part(thing, "config"), _part(thing, "usage")
    own = _text(config.get("isInodeSpaceOwner"), "isInodeSpaceOwner").lower()
    own = {"true": "1", "false": "0", "yes": "1", "no": "0"}.get(own, own)
    inodes = {"maxInodes": config.get("maxNumInodes"), "allocInodes": usage.get("allocatedInodes")}
    if own == "0":
        # The commands show 0 for a dependent fileset; the API leaves these out.
        inodes = {name: 0 if value is None else value for name, value in inodes.items()}
    values = {
        "filesystemName": thing.get("filesystemName"),
        "filesetName": thing.get("filesetName"),
        **{name: config.get(name) for name in ("id", "rootInode", "status", "path", "parentId")},
        "created": config.get("created"),
        "comment": config.get("comment"),
        "inodeSpace": config.get("inodeSpace"),
        "isInodeSpaceOwner": own,
        **inodes,
    }
    return {name: _text(value, name) for name, value in values.items()}


_QUOTA = {
    "filesystemName": "filesystemName",
    "quotaType": "quotaType",
    "id": "objectId",
    "name": "objectName",
    **{
        f"{what}{name}": f"{what}{name}"
        for what in ("block", "files")
        for name in ("Usage", "Quota", "Limit", "InDoubt", "Grace")
    },
    "filesetname": "filesetName",
}
"""Columns of mmrepquota, and the names that the API has for them."""


def quota(thing: Object) -> Record:
    """Return a quota as a row of mmrepquota; space in KiB."""
    return {name: _text(thing.get(theirs), theirs) for name, theirs in _QUOTA.items()}


def facts(thing: Object) -> Facts:
    """Return the facts of a file system."""
    size = _text(_part(thing, "block").get("blockSize"), "blockSize")
    quotas, settings = _part(thing, "quota"), _part(thing, "settings")
    enforced = _text(quotas.get("quotasEnforced"), "quotasEnforced")
    semantics = _text(settings.get("ACLSemantics"), "ACLSemantics")
    mount = _text(_part(thing, "mount").get("mountPoint"), "mountPoint")
    if not re.fullmatch(r"[1-9]\d{3,}", size, re.ASCII):
        raise Unreadable(f"blockSize is {size!r}")
    if not re.fullmatch(r"none|(user|group|fileset)([;,\s]+(user|group|fileset))*", enforced):
        raise Unreadable(f"quotasEnforced is {enforced!r}")
    if not re.fullmatch(r"[a-z][a-z0-9]{2,}", semantics):
        raise Unreadable(f"ACLSemantics is {semantics!r}")
    per = _text(quotas.get("perfilesetQuotas"), "perfilesetQuotas").lower()
    return Facts(
        mount=mount,
        block_kib=int(size) // 1024,
        enforced=tuple(re.split(r"[;,\s]+", enforced)),
        nfs4=semantics != "posix",
        values={"perfilesetQuotas": {"1": "yes", "0": "no"}.get(per, per or "unknown")},
    )


_STAT = {
    "mode": r"^Access: \((\d{3,4})/",
    "uid": r"\bUid: \(\s*(\d{1,20})/",
    "gid": r"\bGid: \(\s*(\d{1,20})/",
    "inode": r"\bInode: (\d{1,20})\b",
    "kind": r"\bIO Block: \d+ +(\S[^\n]*)",
}
"""Where GNU stat prints what is read."""


def entry(text: str) -> Entry:
    """Return what GNU stat says of a path (the job of GET directory prints it)."""
    found: dict[str, str] = {}
    for name, form in _STAT.items():
        match = re.search(form, text, re.ASCII | re.MULTILINE)
        if match is None:
            raise Unreadable(f"no {name} in what stat printed", text)
        found[name] = match[1].strip()
    numbers = int(found["uid"]), int(found["gid"]), int(found["mode"], 8)
    return Entry(*numbers, found["kind"] == "directory", int(found["inode"]))


def new_fileset(wanted: NewFileset) -> dict[str, Json]:
    """Return the body that makes and links a fileset."""
    limit = {} if wanted.inode_limit is None else {"maxNumInodes": str(wanted.inode_limit)}
    return {
        "filesetName": wanted.name,
        "path": wanted.path,
        "comment": wanted.comment,
        "inodeSpace": wanted.parent or "new",
        "permissionChangeMode": "chmodAndSetAcl",
        **limit,
    }


def new_quota(
    name: str, quota: Sequence[int] | None, files: Sequence[int] | None
) -> dict[str, Json]:
    """Return the body that sets a fileset's limits: the API takes bytes, and gives KiB."""
    body: dict[str, Json] = {
        "operationType": "setQuota",
        "quotaType": "fileset",
        "objectName": name,
    }
    if quota is not None:
        body |= {"blockSoftLimit": str(quota[0] * 1024), "blockHardLimit": str(quota[1] * 1024)}
    if files is not None:
        body |= {"filesSoftLimit": str(files[0]), "filesHardLimit": str(files[1])}
    return body
