"""The way to a junction: the directories above it, and whose they are.

Promises: a path is given to a command that walks it as root only where every directory from the
mount point down to it is one and no link, belongs to an admin, and lets nobody else write, by its
mode and by its NFSv4 ACL; and where it lies in no fileset that a provisioner made, but for one's
own inode space. They are looked at from above: in what an admin alone may write, nobody else can
exchange the next one, so that the way is the same when the command walks it.
Leaves out: what is above the mount point, and admins who exchange things meanwhile.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from handlers import _nfs4
from handlers._mm import Entry, Mm, Record
from provisioner.contract import Conflict, Fault, NotReady, Permanent

MARK = re.compile(r"[A-Za-z0-9_.@+-]+:[^\s/]+/fileset/\S+\Z")
"""How the comment of a fileset begins that a provisioner made, this one or another."""

_WRITES = {"WRITE/CREATE", "APPEND/MKDIR", "DELETE_CHILD", "WRITE_ACL", "CHOWN"}


def above(path: str, mount: str) -> list[str]:
    """List the directories from the mount point to a path, the upper ones first.

    Raises Permanent for a path that does not lead straight down from the mount point.
    """
    parts = path.removeprefix(f"{mount}/").split("/")
    if not path.startswith(f"{mount}/") or {"", ".", ".."} & set(parts):
        raise Permanent(f"{path} is no path below the mount point {mount}")
    return [mount, *(f"{mount}/{'/'.join(parts[:n])}" for n in range(1, len(parts)))]


@dataclass(frozen=True, slots=True)
class Way:
    """Judges ways of one file system. mount: where it is; admins: uids that the directories on a
    way may belong to."""

    mm: Mm
    mount: str
    admins: Collection[int] = (0,)

    def look(self, paths: Iterable[str], *, acls: bool) -> Mapping[str, Fault]:
        """Say why paths may not be walked; those that may are left out.

        acls: read the directories' NFSv4 ACLs, too. What is missing is NotReady: where it is not
        there nobody but an admin can make it.
        """
        chains = {path: above(path, self.mount) for path in paths}
        ordered = sorted({one for chain in chains.values() for one in chain}, key=_depth)
        found = self.mm.stat(ordered)
        wrong: dict[str, Fault] = {}
        for directory in ordered:
            upper = directory.rpartition("/")[0]
            fault = wrong.get(upper) or judge(directory, found.get(directory), self.admins)
            if fault is None and acls:
                fault = judge_acl(directory, self.mm.acl(directory))
            if fault is not None:
                wrong[directory] = fault
        return {path: wrong[chain[-1]] for path, chain in chains.items() if chain[-1] in wrong}

    def check(self, paths: Sequence[str], *, junctions: bool) -> None:
        """Raise the first fault of paths that are about to be walked.

        junctions: they are there; one that is no directory is a Conflict.
        """
        for fault in self.look(paths, acls=False).values():
            raise fault
        if not junctions:
            return
        found = self.mm.stat(paths)
        for path in paths:
            if path not in found or not found[path].directory:
                raise Conflict(
                    f"{path} is a link or no directory: nothing was changed",
                    advice="look at who made it",
                )


def judge(directory: str, found: Entry | None, admins: Collection[int]) -> Fault | None:
    """Say what is wrong with a directory above a junction, by its owner and mode."""
    quoted = shlex.quote(directory)
    if found is None:
        return NotReady(
            f"{directory} is not there yet",
            advice=f"make the directory {directory}, or link the fileset above it",
        )
    if not found.directory:
        return Conflict(f"{directory} is a link or no directory", advice="look at who made it")
    if found.uid not in admins:
        return _steered(directory, f"belongs to uid {found.uid}", f"chown root {quoted}")
    if found.mode & 0o022:
        return _steered(
            directory, f"is open to others, mode {found.mode:04o}", f"chmod go-w {quoted}"
        )
    return None


def judge_acl(directory: str, acl: str) -> Fault | None:
    """Say what is wrong with a directory above a junction, by its NFSv4 ACL."""
    try:
        entries = _nfs4.parse(acl)
    except ValueError as error:
        return Permanent(f"mmgetacl of {directory} cannot be read: {error}")
    for entry in entries:
        writes = {"w", "c"} & set(entry.letters) or _WRITES & (entry.permissions or frozenset())
        inherited_only = "InheritOnly" in entry.flags
        if entry.verdict == "deny" or inherited_only or entry.who in ("owner@", "root"):
            continue
        if writes:
            said = f"lets {entry.kind}:{entry.who} write, by its NFSv4 ACL"
            return _steered(directory, said, f"mmeditacl {shlex.quote(directory)}")
    return None


def _steered(directory: str, said: str, advice: str) -> Fault:
    return Permanent(
        f"{directory} {said}: who is no admin could exchange what lies below it, and no fileset is "
        "linked or changed there",
        advice=f"{advice}; or leave `path` out, and it lies where the handler's `path` says",
    )


def inside_anothers(
    paths: Mapping[str, str], records: Sequence[Record], spaces: Mapping[str, str]
) -> Mapping[str, Fault]:
    """Say of junctions, by filesets' names, which lie in a fileset that a provisioner made.

    paths: where each fileset is to be linked; records: the listing; spaces: the fileset whose
    inode space a fileset will lie in, where it is not in the listing yet. GPFS links a dependent
    fileset only within its own inode space.
    """
    by_name = {record["filesetName"]: record for record in records}
    owners = {
        r["inodeSpace"]: r["filesetName"] for r in records if r.get("isInodeSpaceOwner") == "1"
    }
    told: dict[str, Fault] = {}
    for name, path in paths.items():
        own = by_name.get(name)
        space = owners.get(own["inodeSpace"], "") if own is not None else spaces.get(name, name)
        for holder in records:
            other = holder["filesetName"]
            first = holder.get("comment", "").split(" ", 1)[0]
            if other in (name, space) or not MARK.match(first):
                continue
            if holder["status"] == "Linked" and path.startswith(f"{holder['path']}/"):
                told[name] = Permanent(
                    f"{path} lies in the fileset {other}, which is another's ({first})",
                    advice="ask for a path beside it, or leave `path` out",
                )
    return told


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path
