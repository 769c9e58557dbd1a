"""A fileset as it should be, and as it was read.

Promises: both are values that convert to the plain JSON of the contract; one want from many claims;
what to save before a suspension. Pure.
Leaves out: the changes between them (`plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from handlers.gpfs.terms import listing, nfs4
from handlers.gpfs.terms.rows import Record, Unreadable, count
from handlers.gpfs.terms.units import size_text
from handlers.gpfs.terms.usage import Quota, Usage
from handlers.gpfs.transport import Entry
from provisioner.contract import (
    Claim,
    Conflict,
    Fault,
    Json,
    State,
    Want,
    disagree,
    values_by_claimant,
)

CLOSED_MODE = 0o700
"""Mode of a closed fileset's root directory. It belongs to root: an owner could open it again."""

_LIMITS = ("block_soft", "block_hard", "files_soft", "files_hard")

_OPEN_BITS = 0o7077
"""Bits that a closed fileset's root directory must not have; the owner, root, may have any."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fileset as it should be; None leaves a property unchanged.

    path: below the mount point; parent: owner of a dependent fileset's inode space; quota: KiB;
    mode: octal text; acl: mmputacl's text; closed: kept, nobody may enter; withdrawn: nobody claims
    it any more; left: limits that claims had set and now leave out (`given_back`); disputed: by
    property, what each claimant wants where they disagree, so that the property stays unchanged;
    shared: for limits, which claim counts.
    """

    name: str
    path: str = ""
    kind: str = "independent"
    parent: str = "root"
    quota: int | None = None
    files: int | None = None
    inode_limit: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: str | None = None
    acl: str | None = None
    adopt: bool = False
    closed: bool = False
    withdrawn: bool = False
    left: Mapping[str, Json] = field(default_factory=dict)
    disputed: Mapping[str, Json] = field(default_factory=dict)
    shared: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def of(cls, want: Want) -> Wanted:
        """Return a want, read from plain JSON."""
        return cls(**cast(Any, want))

    def json(self) -> dict[str, Json]:
        """Return a want as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Fileset:
    """A fileset as it was read, with facts of its file system.

    Quotas in KiB; space: name of the fileset that owns its inode space; acl: None if the file
    system keeps no NFSv4 ACLs; path: absolute, '' while it is not linked; usage: None if no quota
    is kept.
    """

    present: bool
    filesystem: str
    mount: str
    block_kib: int = 1
    enforced: bool = True
    name: str = ""
    id: int = -1
    comment: str = ""
    independent: bool = True
    space: str = ""
    max_inodes: int = 0
    alloc_inodes: int = 0
    block_soft: int = 0
    block_hard: int = 0
    files_soft: int = 0
    files_hard: int = 0
    usage: Usage | None = None
    linked: bool = False
    path: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0
    acl: str | None = None

    @classmethod
    def of(cls, state: State) -> Fileset:
        """Return a fileset, read from plain JSON."""
        usage = state.get("usage")
        parsed = Usage.of(usage) if isinstance(usage, Mapping) else None
        mode = state.get("mode", 0)
        mode = int(mode, 8) if isinstance(mode, str) else mode  # earlier versions kept a number
        return cls(**cast(Any, {**state, "usage": parsed, "mode": mode}))

    def json(self) -> dict[str, Json]:
        """Return a fileset as plain JSON."""
        usage = self.usage.json() if self.usage else None
        return {**asdict(self), "usage": usage, "mode": f"{self.mode:04o}"}

    @property
    def shut(self) -> bool:
        """Return True if nobody but root may enter."""
        return (self.uid, self.gid) == (0, 0) and self.mode_shut and self.acl_shut

    @property
    def mode_shut(self) -> bool:
        """Return True if the mode lets in nobody but the owner."""
        return not self.mode & _OPEN_BITS

    @property
    def acl_shut(self) -> bool:
        """Return True if the ACL lets in nobody but the owner."""
        return self.acl is None or nfs4.closed(self.acl)


def fileset_of(
    record: Record, quota: Quota | None, spaces: Mapping[str, str], file_system: Fileset
) -> Fileset:
    """Return a fileset from its row in the listing and its quota, None if none is kept.

    record: a row that was checked. Raises Unreadable if no fileset owns its inode space.
    """
    if record["inodeSpace"] not in spaces:
        raise Unreadable("an inode space that no fileset owns, in a row", listing.row(record))
    linked = record["status"] == "Linked"
    limits = {name: getattr(quota, name) for name in _LIMITS} if quota else {}
    return replace(
        file_system,
        present=True,
        name=record["filesetName"],
        id=count(record, "id"),
        comment=record["comment"],
        independent=record["isInodeSpaceOwner"] == "1",
        space=spaces[record["inodeSpace"]],
        max_inodes=count(record, "maxInodes"),
        alloc_inodes=count(record, "allocInodes"),
        usage=quota.usage if quota else None,
        linked=linked,
        path=record["path"] if linked else "",
        # Unknown until it is linked; a new root directory belongs to root with mode 0700.
        mode=CLOSED_MODE,
        **limits,
    )


def renamed(names: Mapping[str, str], rows: Sequence[Record]) -> dict[str, Fault]:
    """Return a Conflict for each fileset that is not there, while another one has its mark.

    names: each with its mark. Whoever is shut out of the one would still be in the other.
    """
    there = {row["filesetName"].lower() for row in rows}
    marked = {row.get("comment", "").split(" ", 1)[0]: row["filesetName"] for row in rows}
    lost = {
        n: marked[mark] for n, mark in names.items() if n.lower() not in there and mark in marked
    }
    return {
        name: Conflict(
            f"there is no fileset {name}: somebody renamed it, {new} has its mark {names[name]!r}",
            advice=f"give it its former name (mmchfileset FILESYSTEM {new} -j {name}); if it is to "
            "keep the new one, set its comment to something else (mmchfileset, -t)",
        )
        for name, new in lost.items()
    }


def named(name: str, listed: Mapping[str, Fileset | Fault]) -> Fileset | Fault | None:
    """Return a fileset by its name, or else the one whose name differs only in case.

    If several differ only in case, return the one with a mark of this name; without one, a
    Conflict.
    """
    if name in listed:
        return listed[name]
    alike = {other: fileset for other, fileset in listed.items() if other.lower() == name.lower()}
    if len(alike) < 2:
        return next(iter(alike.values()), None)
    known = [fileset for fileset in alike.values() if not isinstance(fileset, Fault)]
    marked = [fileset for fileset in known if known_as(fileset) == name]
    if len(marked) == 1:
        return marked[0]
    return Conflict(
        f"the filesets {' and '.join(sorted(alike))} exist, whose names differ from {name} only in "
        "case: which one is meant is not clear",
        advice="rename all but one (mmchfileset -j), or ask for another name",
    )


def known_as(fileset: Fileset) -> str:
    """Return the name in our mark on a fileset, which may differ from the fileset's own in case."""
    marked = fileset.comment.split(" ", 1)[0].rpartition("/fileset/")[2]
    return marked if marked.lower() == fileset.name.lower() else fileset.name


def root_inode(records: Sequence[Record]) -> int | None:
    """Return the inode of the file system's root directory, as the listing names it."""
    return next((count(r, "rootInode") for r in records if r["filesetName"] == "root"), None)


def exchanged(
    filesets: Sequence[Fileset], records: Sequence[Record], entries: Mapping[str, Entry]
) -> Mapping[str, Conflict]:
    """Return a Conflict, by fileset, where another directory lies at its path.

    entries: what stat says of their paths and of the mount point. A fileset's root directory has
    the inode that the listing names. If the mount point has another inode than the fileset `root`,
    stat numbers inodes differently from the file system (as over NFS), and the result is empty.
    """
    inodes = {record["filesetName"]: count(record, "rootInode") for record in records}
    conflicts: dict[str, Conflict] = {}
    for fileset in filesets:
        seen, mount = entries.get(fileset.path), entries.get(fileset.mount)
        if seen is None or mount is None or mount.inode != inodes["root"]:
            continue
        if seen.directory and seen.inode != inodes[fileset.name]:
            conflicts[fileset.name] = Conflict(
                f"fileset {fileset.name} is linked at {fileset.path}, but another directory is "
                f"there: inode {seen.inode}, not {inodes[fileset.name]}. Somebody has replaced "
                "it, and the fileset itself may be open",
                advice=f"find it: find {fileset.mount} -xdev -inum {inodes[fileset.name]}; move it "
                "back, or close it there; find out who moved it; then `provisioner retry`",
            )
    return conflicts


# Many claims, one want.


def merge(claims: Sequence[Claim], prior: State | None, fileset: str) -> Wanted:
    """Return one want from claims: limits are the largest. Where claims disagree about another
    property, an existing fileset keeps it, and a new fileset gets what the first claimant wants.

    prior: fills in owner, mode and ACL if no live claim names them.
    """
    live = [claim for claim in claims if not claim.suspended]
    adopt = any(bool(claim.want.get("adopt")) for claim in live or claims)
    if not live:
        return Wanted(fileset, adopt=adopt, closed=True, withdrawn=not claims)
    merged: dict[str, Json] = {"name": fileset, "adopt": adopt}
    disputed: dict[str, Json] = {}
    shared: dict[str, Json] = {}
    for name in ("path", "kind", "parent", "uid", "gid", "mode", "acl"):
        values = values_by_claimant(name, live)
        merged[name] = next(iter(values.values()), None)
        if disagree(values):
            disputed[name] = {
                claimant: _in_words(name, value) for claimant, value in values.items()
            }
    for name in ("quota", "files", "inode_limit"):
        limits = {
            claimant: n
            for claimant, n in values_by_claimant(name, live).items()
            if isinstance(n, int)
        }
        merged[name] = max(limits.values(), default=None)
        if disagree(limits):
            words: Json = {claimant: _in_words(name, n) for claimant, n in limits.items()}
            counts = _in_words(name, max(limits.values()))
            shared[name] = {"counts": counts, "rule": "largest", "claims": words}
    for name in ("uid", "gid", "mode", "acl"):
        if merged[name] is None and prior is not None:
            merged[name] = prior.get(name)
    return replace(Wanted.of(merged), disputed=disputed, shared=shared)


def as_before(wanted: Wanted, fileset: Fileset, prior: State) -> Wanted:
    """Return the want that opens a closed fileset as it was, whatever its claims want."""
    return replace(
        wanted,
        path=fileset.path,
        kind="independent" if fileset.independent else "dependent",
        parent="root" if fileset.independent else fileset.space,
        **cast(Any, {name: prior.get(name) for name in ("uid", "gid", "mode", "acl")}),
        **cast(Any, dict.fromkeys(("quota", "files", "inode_limit"))),
    )


def _in_words(name: str, value: Json) -> str:
    if name == "acl":
        return "another ACL"
    return f"{name} {size_text(value) if name == 'quota' and isinstance(value, int) else value}"


def without_disputed(wanted: Wanted, fileset: Fileset) -> Wanted:
    """Return the want of an existing fileset without the properties that claims disagree about."""
    of = set(wanted.disputed)
    if not fileset.present or not of:
        return wanted
    changes: dict[str, Json] = dict.fromkeys(of & {"uid", "gid", "mode", "acl"})
    if of & {"mode", "acl"}:
        changes |= {"mode": None, "acl": None}  # an ACL rules the mode's bits
    if "path" in of and fileset.linked:
        changes["path"] = fileset.path
    if of & {"kind", "parent"}:
        changes["kind"] = "independent" if fileset.independent else "dependent"
        changes["parent"] = "root" if fileset.independent else fileset.space
    return replace(wanted, **cast(Any, changes))


_TENTH = 10
_LEAST_KIB, _LEAST_FILES = 1024, 16
"""Limits too small to work with, for a fileset that had none before."""


def shuts(before: Wanted, after: Wanted) -> bool:
    """Return True if a quota becomes so small that people can hardly write any more.

    The threshold is a tenth of the earlier quota: a wrong unit makes a thousandth of it.
    """
    pairs = (
        (before.quota, after.quota, _LEAST_KIB),
        (before.files, after.files, _LEAST_FILES),
    )
    return any(_shuts(was, will, least) for was, will, least in pairs)


def _shuts(was: int | None, will: int | None, least: int) -> bool:
    """Return True if a limit shrinks below the threshold; None and 0 mean no limit (mmsetquota)."""
    if not will:
        return False
    return will * _TENTH < was if was else will < least


def sets(wanted: Wanted) -> dict[str, Json]:
    """Return the limits that are wanted, each as a soft and a hard one; quota in KiB."""
    limits = {"quota": wanted.quota, "files": wanted.files, "inode_limit": wanted.inode_limit}
    return {name: [limit, limit] for name, limit in limits.items() if limit is not None}


def holds(fileset: Fileset) -> dict[str, Json]:
    """Return the limits that a fileset has; None for no limit."""
    limits = {
        "quota": (fileset.block_soft, fileset.block_hard),
        "files": (fileset.files_soft, fileset.files_hard),
        "inode_limit": (fileset.max_inodes, fileset.max_inodes),
    }
    return {name: list(limit) if any(limit) else None for name, limit in limits.items()}


def prior(fileset: Fileset) -> dict[str, Json] | None:
    """Return what to save of an open fileset before it is closed."""
    if not fileset.present or not fileset.linked or fileset.shut:
        return None
    saved: dict[str, Json] = {"uid": fileset.uid, "gid": fileset.gid, "mode": f"{fileset.mode:04o}"}
    if fileset.acl is not None and not nfs4.trivial(fileset.acl):
        saved["acl"] = nfs4.write(nfs4.parse(fileset.acl))
    return saved
