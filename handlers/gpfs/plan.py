"""The changes between a fileset as it is and as it should be.

Promises: pure functions. The plan compares each property by itself, so an interrupted change
continues where it stopped. The order is create, quota, inode limit, link, owner, mode, ACL: nobody
can write to a fileset before its quota holds. In a batch, filesets that close come first, the upper
ones before the filesets inside them; then the others, the inner ones first. So nobody can replace a
fileset while a fileset inside it changes. Leaves out: deleting, unlinking and moving, which nothing
here ever does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from handlers.gpfs.above import MARK
from handlers.gpfs.state import CLOSED_MODE, Fileset, Wanted, sets, without_disputed
from handlers.gpfs.terms import nfs4
from handlers.gpfs.terms.units import INODE_STEP, fits, round_up, size_text
from provisioner.contract import (
    Change,
    Conflict,
    Existing,
    Json,
    Key,
    Permanent,
    Whose,
    given_back,
    owned,
    whose_mark,
)

_CREATE, _CREATE_DEPENDENT, _QUOTA, _INODES, _LINK = 0, 1, 2, 3, 10
_CLOSE, _GIVE, _DEPTHS = 100, 400, 99
"""First phase of owner, mode and ACL: three phases for each depth of a path."""


# Ownership.


def ours(found: Fileset, mark: str) -> bool:
    """Return True if a fileset's comment begins with our mark."""
    return found.comment.split(" ", 1)[0] == mark


def _existing(fileset: Fileset, mark: str) -> Existing:
    """Say whose a fileset is by its comment."""
    first = fileset.comment.split(" ", 1)[0]
    whose = whose_mark(first if MARK.match(first) else "", mark)
    sign = f"exists; its comment is {fileset.comment!r}, not {mark!r}"
    if whose is Whose.ANOTHERS:
        sign = f"has the mark of another object: {fileset.comment!r}"
    return Existing(f"the fileset {fileset.name}", whose, sign)


# The plan.


def plan(key: Key, mark: str, wanted: Wanted, fileset: Fileset, root: str = "") -> list[Change]:
    """Return the changes from a fileset to what is wanted.

    root: directory below the mount point that every junction must be in; empty: the mount point.
    Raises Conflict if the fileset is not ours and differs, or is of another kind or elsewhere;
    Permanent if a quota would not be enforced.
    """
    if wanted.closed and not fileset.present:
        return []
    wanted = without_disputed(_as_named(wanted, fileset), fileset)

    def changes() -> Sequence[Change]:
        if not wanted.closed:
            _check_place(wanted, fileset, root)
            _check(wanted, fileset)
        if not fileset.present:
            created = _created(wanted, fileset)
            return [_create(key, mark, wanted, created), *_properties(key, wanted, created)]
        return _properties(key, wanted, fileset)

    def note() -> Sequence[Change]:
        return [] if ours(fileset, mark) else [_mark(key, mark, wanted, fileset)]

    if not fileset.present:
        return list(changes())
    existing, claimed = _existing(fileset, mark), not wanted.withdrawn
    return owned(key, existing, changes, note, claimed=claimed, adopt=wanted.adopt)


def _as_named(wanted: Wanted, fileset: Fileset) -> Wanted:
    """Return the want with the name, and the junction, in the case in which GPFS has them."""
    if not fileset.present or fileset.name == wanted.name:
        return wanted
    same = fileset.linked and junction(wanted, fileset).lower() == fileset.path.lower()
    return replace(wanted, name=fileset.name, path=fileset.path if same else wanted.path)


def _check(wanted: Wanted, fileset: Fileset) -> None:
    """Raise a fault for what no command could change."""
    if (wanted.quota or wanted.files) and not fileset.enforced:
        raise Permanent(
            f"{fileset.filesystem} does not enforce fileset quotas, so a quota would not hold",
            advice=f"run `mmchfs {fileset.filesystem} -Q yes` and `mmcheckquota`, then retry",
        )
    if not fileset.present:
        return
    if fileset.independent != (wanted.kind == "independent"):
        is_kind = "independent" if fileset.independent else "dependent"
        raise Conflict(
            f"fileset {wanted.name} is {is_kind}, but the request wants {wanted.kind}",
            advice="GPFS cannot change a fileset's kind: ask for the kind it has, or another name",
        )
    if wanted.kind == "dependent" and fileset.space != wanted.parent:
        raise Conflict(
            f"fileset {wanted.name} is in the inode space of {fileset.space}, but the request "
            f"wants {wanted.parent}",
            advice="GPFS cannot change this: ask for the parent it has, or another name",
        )
    if fileset.linked and fileset.path != junction(wanted, fileset):
        raise Conflict(
            f"fileset {wanted.name} is linked at {fileset.path}, but the request wants "
            f"{junction(wanted, fileset)}",
            advice="move the junction by hand, or ask for the path where it is",
        )


def _created(wanted: Wanted, absent: Fileset) -> Fileset:
    """Return a fileset as it is right after its creation: unlimited, not linked, closed once
    linked."""
    return Fileset(
        present=True,
        filesystem=absent.filesystem,
        mount=absent.mount,
        block_kib=absent.block_kib,
        name=wanted.name,
        independent=wanted.kind == "independent",
        max_inodes=wanted.inode_limit or 0,
        mode=CLOSED_MODE,
        acl=nfs4.CLOSED if wanted.acl else None,
    )


def _properties(key: Key, wanted: Wanted, fileset: Fileset) -> list[Change]:
    if wanted.closed:
        changes = _close(key, fileset)
        if wanted.withdrawn and changes:
            first, *rest = changes
            stays = (
                f"no data is moved, it stays in {fileset.path}"
                if fileset.path
                else "it keeps its data"
            )
            text = f"close {fileset.name}, which nobody claims any more; {stays}: {first.text}"
            return [replace(first, text=text), *rest]
        return changes
    parts = (_quota, _inodes, _link, _owner, _mode_and_acl)
    return [change for part in parts for change in part(key, wanted, fileset)]


def _check_place(wanted: Wanted, found: Fileset, root: str) -> None:
    place, what = (f"{found.mount}/{root}", "root") if root else (found.mount, "mount point")
    if not junction(wanted, found).startswith(f"{place}/"):
        raise Permanent(
            f"path {wanted.path} is not below the {what} {place}",
            advice=f"send the request again with a path below {place}, or without a path",
        )


def junction(wanted: Wanted, found: Fileset) -> str:
    """Return the absolute path where a fileset should be linked."""
    return wanted.path if wanted.path.startswith("/") else f"{found.mount}/{wanted.path}"


def _create(key: Key, mark: str, wanted: Wanted, created: Fileset) -> Change:
    own = wanted.kind == "independent"
    limit = f", {wanted.inode_limit} inodes" if own and wanted.inode_limit else ""
    where = "" if own or wanted.parent == "root" else f" in {wanted.parent}"
    return Change(
        key,
        "create",
        f"create {wanted.kind} fileset {wanted.name}{where}{limit}",
        _CREATE if own else _CREATE_DEPENDENT,
        f"create:{wanted.name}",
        {
            "name": wanted.name,
            "mark": mark,
            "parent": None if own else wanted.parent,
            "inode_limit": wanted.inode_limit if own else None,
            "junction": junction(wanted, created),
            "mount": created.mount,
        },
    )


def _mark(key: Key, mark: str, wanted: Wanted, found: Fileset) -> Change:
    # A comment has fewer than 256 characters (mmcrfileset); the locale may make those bytes.
    whole = f"{mark} {found.comment}".strip().encode()[:255]
    comment = whole.decode(errors="ignore")
    data = {"name": wanted.name, "mark": mark, "comment": comment}
    return Change(key, "mark", f"comment {comment!r}", _CREATE, f"mark:{wanted.name}", data)


Pair = Sequence[int]
"""A soft and a hard limit; 0 means none. Quotas in KiB."""


def quota_holds(fileset: Fileset, quota: Pair | None, files: Pair | None) -> bool:
    """Return True if soft and hard limits are as wanted.

    GPFS rounds space up to the block size, but keeps a number of files unchanged: samples of
    mmrepquota have 30000 and 33000, while inode limits are multiples of 1024.
    """
    return _holds((fileset.block_soft, fileset.block_hard), quota, fileset.block_kib) and _holds(
        (fileset.files_soft, fileset.files_hard), files, 1
    )


def _holds(found: Pair, wanted: Pair | None, step: int) -> bool:
    return wanted is None or all(fits(*both, step) for both in zip(found, wanted, strict=True))


def _is_so(fileset: Fileset, name: str, limit: Any) -> bool:
    """Return True if a fileset has a limit; limit: None for no limit."""
    if name == "inode_limit":
        return limit is not None and inodes_hold(fileset, limit[0])
    pair = limit or (0, 0)
    return quota_holds(fileset, *((pair, None) if name == "quota" else (None, pair)))


def _limits(wanted: Wanted, fileset: Fileset) -> Mapping[str, Pair]:
    """Return the wanted limits, and the earlier value of each limit that nobody wants any more.

    A fileset always has an inode limit: if its earlier value is not known, it stays.
    """
    back: Mapping[str, Any] = given_back({"left": wanted.left}, partial(_is_so, fileset))
    if not fileset.present:
        back = {}
    if back.get("inode_limit", ()) is None:
        back = {name: limit for name, limit in back.items() if name != "inode_limit"}
    gone = {name: limit or (0, 0) for name, limit in back.items()}
    return {**gone, **cast(Mapping[str, Pair], sets(wanted))}


def _quota(key: Key, wanted: Wanted, fileset: Fileset) -> list[Change]:
    limits = _limits(wanted, fileset)
    quota, files = limits.get("quota"), limits.get("files")
    if quota_holds(fileset, quota, files):
        return []
    texts = []
    if quota is not None and not quota_holds(fileset, quota, None):
        texts.append(
            f"quota {_limit(fileset.block_hard)} -> {_limit(quota[1])}{_back(wanted.quota)}"
        )
    if files is not None and not quota_holds(fileset, None, files):
        before, after = fileset.files_hard or "unlimited", files[1] or "unlimited"
        texts.append(f"files {before} -> {after}{_back(wanted.files)}")
    data: Mapping[str, Json] = {"name": wanted.name, "quota": quota, "files": files}
    return [Change(key, "set-quota", ", ".join(texts), _QUOTA, f"quota:{wanted.name}", data)]


def _back(wanted: int | None) -> str:
    return "" if wanted is not None else ", because nobody asks for one any more"


def _limit(in_kib: int) -> str:
    return size_text(in_kib) if in_kib else "unlimited"


def inodes_hold(fileset: Fileset, limit: int) -> bool:
    """Return True if an inode limit is as wanted, or higher because more inodes are already
    allocated.

    A file system with `--auto-inode-limit` (mmchfs, 5.1.4) raises the limit of a fileset that runs
    out of inodes, and GPFS takes no limit below the allocated inodes. A lower limit would be undone
    at the next file, and would differ again at each reading.
    """
    outgrown = fileset.alloc_inodes > round_up(limit, INODE_STEP) and fileset.max_inodes >= limit
    return outgrown or fits(fileset.max_inodes, limit, INODE_STEP)


def _inodes(key: Key, wanted: Wanted, fileset: Fileset) -> list[Change]:
    (limit, _) = _limits(wanted, fileset).get("inode_limit", (None, None))
    if limit is None or not fileset.independent or inodes_hold(fileset, limit):
        return []
    limit = max(
        limit, fileset.alloc_inodes
    )  # within a step: GPFS takes no limit below the allocated inodes
    text = f"inode limit {fileset.max_inodes} -> {limit}{_back(wanted.inode_limit)}"
    data: Mapping[str, Json] = {"name": wanted.name, "inode_limit": limit}
    return [Change(key, "set-inode-limit", text, _INODES, f"inodes:{wanted.name}", data)]


def _link(key: Key, wanted: Wanted, fileset: Fileset) -> list[Change]:
    if fileset.linked:
        return []
    path = junction(wanted, fileset)
    # A junction may be inside a fileset of the same batch: the upper ones come first.
    phase = _LINK + min(path.count("/"), _CLOSE - _LINK - 1)
    data = {"name": wanted.name, "path": path, "mount": fileset.mount}
    return [Change(key, "link", f"link at {path}", phase, f"link:{wanted.name}", data)]


def _owner(key: Key, wanted: Wanted, fileset: Fileset) -> list[Change]:
    uid = fileset.uid if wanted.uid is None else wanted.uid
    gid = fileset.gid if wanted.gid is None else wanted.gid
    if (uid, gid) == (fileset.uid, fileset.gid):
        return []
    path = fileset.path or junction(wanted, fileset)
    return [_chown(key, path, fileset, uid, gid)]


def _mode_and_acl(key: Key, wanted: Wanted, fileset: Fileset) -> list[Change]:
    """Compare mode and ACL together, and return the changes.

    An ACL rules the permission bits that stat shows, so with a wanted ACL only the set-id and
    sticky bits count. A chmod may replace the ACL, so the ACL follows every chmod.
    """
    path = fileset.path or junction(wanted, fileset)
    changes = []
    if wanted.mode is not None:
        mode, counts = int(wanted.mode, 8), 0o7000 if wanted.acl else 0o7777
        if mode & counts != fileset.mode & counts:
            changes.append(_chmod(key, path, fileset, mode))
    if wanted.acl is None:
        return changes
    if fileset.acl is None and fileset.linked:
        raise Permanent(
            f"{fileset.filesystem} does not keep NFSv4 ACLs, so the wanted ACL cannot be set",
            advice=f"run `mmchfs {fileset.filesystem} -k nfs4`, or ask for no ACL",
        )
    if changes or fileset.acl is None or not nfs4.same(wanted.acl, fileset.acl):
        changes.append(_put_acl(key, path, fileset, wanted.acl))
    return changes


def _close(key: Key, fileset: Fileset) -> list[Change]:
    if not fileset.linked or fileset.shut:
        return []
    changes = []
    if (fileset.uid, fileset.gid) != (0, 0):
        changes.append(_chown(key, fileset.path, fileset, 0, 0))
    # chmod also removes an ACL if the fileset allows it; mmputacl must go by a name.
    if not fileset.mode_shut or not fileset.acl_shut:
        changes.append(_chmod(key, fileset.path, fileset, CLOSED_MODE))
    if not fileset.acl_shut:
        changes.append(_put_acl(key, fileset.path, fileset, nfs4.CLOSED))
    return [_sooner(fileset.path, change) for change in changes]


def _chown(key: Key, path: str, found: Fileset, uid: int, gid: int) -> Change:
    text = f"owner {found.uid}:{found.gid} -> {uid}:{gid}"
    data: Mapping[str, Json] = {"path": path, "mount": found.mount, "uid": uid, "gid": gid}
    return Change(key, "chown", text, _given(path), f"chown:{uid}:{gid}", data)


def _chmod(key: Key, path: str, fileset: Fileset, mode: int) -> Change:
    text = f"mode {fileset.mode:04o} -> {mode:04o}"
    if fileset.mode == mode:
        text = f"mode {mode:04o}, in place of an ACL"
    data: Mapping[str, Json] = {"path": path, "mount": fileset.mount, "mode": mode}
    return Change(key, "chmod", text, _given(path) + 1, f"chmod:{mode:o}", data)


def _put_acl(key: Key, path: str, found: Fileset, acl: str) -> Change:
    text = "close with the NFSv4 ACL" if acl == nfs4.CLOSED else "set the NFSv4 ACL"
    data = {"path": path, "mount": found.mount, "acl": nfs4.write(nfs4.parse(acl))}
    return Change(key, "set-acl", text, _given(path) + 2, f"acl:{path}", data)


def _given(path: str) -> int:
    """Return the first phase of a fileset's owner, mode and ACL: after those of filesets inside
    it."""
    return _GIVE + 3 * (_DEPTHS - min(path.count("/"), _DEPTHS))


def _sooner(path: str, change: Change) -> Change:
    """Return a closing change in a phase before filesets inside it, and before all that give
    access."""
    step = change.phase - _given(path)
    return replace(change, phase=_CLOSE + 3 * min(path.count("/"), _DEPTHS) + step)


# Changes that a failed write may still have made.

SETTLED: Mapping[str, Callable[[Fileset, Mapping[str, Any]], bool]] = {
    "create": lambda found, data: found.present and ours(found, data["mark"]),
    "mark": lambda found, data: found.present and ours(found, data["mark"]),
    "set-quota": lambda found, data: quota_holds(found, data["quota"], data["files"]),
    "set-inode-limit": lambda found, data: inodes_hold(found, data["inode_limit"]),
    "link": lambda found, data: found.linked and found.path == data["path"],
    "chown": lambda found, data: (found.uid, found.gid) == (data["uid"], data["gid"]),
    "chmod": lambda found, data: found.mode == data["mode"],
    "set-acl": lambda found, data: found.acl is not None and nfs4.same(found.acl, data["acl"]),
}
"""For each verb, a function that returns True if the fileset shows the change."""
