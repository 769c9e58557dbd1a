"""The way to a junction: the directories above it, and who owns them.

Promises: a command that walks a path as root gets a path only if every directory from the mount
point down to it is a directory and not a link, belongs to an admin, and lets nobody else write, by
its mode and by its NFSv4 ACL; and only if the path lies in no fileset that a provisioner made,
except the owner of its own inode space. The check goes from the top down: only an admin can replace
an entry of a directory that only an admin may write, so the way is the same when the command walks
it. To close a fileset gives nobody access. An agent closes what it has opened itself, so
directories of other owners do not stop it. Commands that go by name close a fileset where all
directories above belong to admins, or will, because the same batch closes the filesets above first.
If something is already at the path of a new junction, the fault says whose it is.
Leaves out: what is above the mount point, and admins who replace things meanwhile.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from handlers.gpfs.state import CLOSED_MODE
from handlers.gpfs.terms import nfs4
from handlers.gpfs.terms.rows import Record
from handlers.gpfs.transport import Directories, Entry, Transport
from provisioner.contract import (
    Change,
    Conflict,
    Fault,
    Key,
    NotReady,
    Permanent,
    Unavailable,
    split_key,
)

MARK = re.compile(r"[A-Za-z0-9_.@+-]+:[^\s/]+/fileset/\S+\Z")
"""How the comment begins on a fileset that this provisioner or another one made."""

_WRITES = {"WRITE/CREATE", "APPEND/MKDIR", "DELETE_CHILD", "WRITE_ACL", "CHOWN"}


def above(path: str, mount: str) -> list[str]:
    """Return the directories from the mount point to a path, the upper ones first.

    Raises Permanent for a path that does not lead straight down from the mount point.
    """
    parts = path.removeprefix(f"{mount}/").split("/")
    if not path.startswith(f"{mount}/") or {"", ".", ".."} & set(parts):
        raise Permanent(f"{path} is not a path below the mount point {mount}")
    return [mount, *(f"{mount}/{'/'.join(parts[:n])}" for n in range(1, len(parts)))]


@dataclass(frozen=True, slots=True)
class Way:
    """Judges ways of one file system. mount: its mount point; admins: uids that may own the
    directories on a way."""

    transport: Transport
    mount: str
    admins: Collection[int] = (0,)

    def look(
        self,
        paths: Collection[str],
        *,
        acls: bool,
        closed: Collection[str] = (),
        opened: bool = False,
    ) -> Mapping[str, Fault]:
        """Return a fault for each path that no command may walk.

        acls: also read the directories' NFSv4 ACLs. closed: directories that only root will be able
        to enter by then. opened: an agent opens each directory on the way, so anybody may own it.
        The fault of a missing directory is NotReady: only an admin can make it.
        """
        chains = {path: above(path, self.mount) for path in paths}
        ordered = sorted({one for chain in chains.values() for one in chain}, key=_depth)
        entries = self.transport.stat(ordered)
        wrong: dict[str, Fault] = {}
        for directory in ordered:
            upper = directory.rpartition("/")[0]
            anybodys = directory in closed or opened
            fault = wrong.get(upper) or judge_kind(directory, entries.get(directory))
            if fault is None and not anybodys:
                fault = judge(directory, entries[directory], self.admins)
            if fault is None and acls and not anybodys:
                fault = self._acl(directory)
            if fault is not None:
                wrong[directory] = fault
        return {path: wrong[chain[-1]] for path, chain in chains.items() if chain[-1] in wrong}

    def _acl(self, directory: str) -> Fault | None:
        """Return what is wrong with a directory's ACL; one that cannot be read affects only what is
        below."""
        try:
            return judge_acl(directory, self.transport.acl(directory))
        except Unavailable as fault:
            return fault

    def to_close(
        self, paths: Collection[str], *, acls: bool, closed: Collection[str] = ()
    ) -> Mapping[str, Fault]:
        """Return a fault for each fileset that chown and chmod cannot close; see `look`."""
        wrong = self.look(paths, acls=acls, closed=closed, opened=self.transport.opens)
        return {path: _stays_open(path, fault) for path, fault in wrong.items()}

    def check(self, changes: Sequence[Change]) -> None:
        """Raise the first fault of the paths that changes of one verb are about to walk."""
        paths = [str(change.data["path"]) for change in changes]
        if all(takes(change) for change in changes):
            wrong = self.to_close(paths, acls=self.transport.facts().nfs4)
        else:
            wrong = self.look(paths, acls=False)
        for fault in wrong.values():
            raise _ones_own(fault)
        if changes[0].verb == "link":
            return
        entries = self.transport.stat(paths)
        for path in paths:
            if path not in entries or not entries[path].directory:
                raise Conflict(
                    f"{path} is a link or not a directory; nothing was changed",
                    advice="find out who made it",
                )

    def close_acl(self, change: Change) -> bool:
        """Return True if chmod has already replaced an ACL that this change closes.

        mmputacl goes by name: raises Permanent if somebody could replace the way and chmod has not
        replaced the ACL.
        """
        path = str(change.data["path"])
        steered = self.look([path], acls=True)
        if not steered:
            return False
        try:
            closed = nfs4.closed(self.transport.acl(path))
        except Unavailable as fault:
            raise _ones_own(fault) from fault
        if closed:
            return True
        raise Permanent(
            f"{path} stays open to the users and groups in its NFSv4 ACL: chmod did not replace "
            f"the ACL, and mmputacl goes by name: {steered[path].message}",
            advice="run `mmchfileset DEVICE FILESET --allow-permission-change chmodAndSetAcl`, "
            "then `provisioner retry`; or close the fileset above it first",
        )


def _ones_own(fault: Fault) -> Fault:
    """Return an unreadable ACL as a fault of one fileset: Unavailable would concern all
    filesets."""
    if isinstance(fault, Unavailable):
        return NotReady(fault.message, advice=fault.advice)
    return fault


def takes(change: Change) -> bool:
    """Return True if a change of owner, mode or ACL takes access away and gives none."""
    data = change.data
    match change.verb:
        case "chown":
            return (data["uid"], data["gid"]) == (0, 0)
        case "chmod":
            return data["mode"] == CLOSED_MODE
        case "set-acl":
            return nfs4.closed(str(data["acl"]))
        case _:
            return False


def foreseen(
    way: Way, changes: Sequence[Change], *, acls: bool, records: Sequence[Record]
) -> Mapping[str, Fault]:
    """Return a fault for each change of a batch that would be refused because of the way to it."""
    walked = [change for change in changes if "path" in change.data]
    giving = {c.key: str(c.data["path"]) for c in walked if not takes(c)}
    taking = {c.key: str(c.data["path"]) for c in walked if c.key not in giving}
    closed = set(taking.values())
    wrong = way.look(set(giving.values()), acls=acls, closed=closed)
    taken = way.to_close(closed, acls=acls, closed=closed)
    faults = {key: wrong[path] for key, path in giving.items() if path in wrong}
    faults |= {key: taken[path] for key, path in taking.items() if path in taken}
    # Only an admin, or this batch, can make a missing directory.
    faults = {key: fault for key, fault in faults.items() if not isinstance(fault, NotReady)}
    links = {c.key: (str(c.data["name"]), giving[c.key]) for c in walked if c.verb == "link"}
    links = {key: link for key, link in links.items() if link[1] not in wrong}
    faults |= occupied(links, records, way.transport)
    by_name = {split_key(key)[-1]: key for key in giving}
    made = [change for change in changes if change.verb == "create"]
    spaces = {split_key(c.key)[-1]: str(c.data["parent"] or "") for c in made}
    paths = {name: giving[key] for name, key in by_name.items()}
    listed = inside_anothers(paths, records, spaces)
    return faults | {by_name[name]: fault for name, fault in listed.items()}


def occupied(
    links: Mapping[Key, tuple[str, str]], records: Sequence[Record], directories: Directories
) -> dict[Key, Fault]:
    """Return a Conflict for each junction whose path is in use, before anything is made.

    links: name and path of each fileset to link.
    """
    if not links:
        return {}
    holders = {r["path"]: r for r in records if r["status"] == "Linked"}
    there = directories.stat(sorted({path for _, path in links.values()}))
    faults: dict[Key, Fault] = {}
    for key, (name, path) in links.items():
        if path in holders:
            holder = holders[path]
            what = f"the fileset {holder['filesetName']} is linked there{_whose(holder)}"
        elif path in there:
            kind = "a directory" if there[path].directory else "a file or link"
            what = f"{kind} of uid {there[path].uid} is there, not a fileset"
        else:
            continue
        faults[key] = Conflict(
            f"the fileset {name} cannot be linked at {path}: {what}",
            advice="ask for another path, or for the existing fileset; nothing was made",
        )
    return faults


def _whose(record: Record) -> str:
    comment = record.get("comment", "")
    return f" ({comment})" if comment else ""


def judge_kind(directory: str, entry: Entry | None) -> Fault | None:
    """Return a fault if a path above a junction is missing or not a directory."""
    if entry is None:
        return NotReady(
            f"{directory} does not exist yet",
            advice=f"make the directory {directory}, or link the fileset above it",
        )
    if not entry.directory:
        return Conflict(f"{directory} is a link or not a directory", advice="find out who made it")
    return None


def judge(directory: str, entry: Entry, admins: Collection[int]) -> Fault | None:
    """Return what is wrong with a directory above a junction, by its owner and mode."""
    quoted = shlex.quote(directory)
    if entry.uid not in admins:
        return _steered(directory, f"belongs to uid {entry.uid}", f"chown root {quoted}")
    if entry.mode & 0o022:
        return _steered(
            directory, f"is open to others, mode {entry.mode:04o}", f"chmod go-w {quoted}"
        )
    return None


def judge_acl(directory: str, acl: str) -> Fault | None:
    """Return what is wrong with a directory above a junction, by its NFSv4 ACL."""
    try:
        entries = nfs4.parse(acl)
    except ValueError as error:
        return Permanent(f"mmgetacl of {directory} cannot be read: {error}")
    for entry in entries:
        writes = {"w", "c"} & set(entry.letters) or _WRITES & (entry.permissions or frozenset())
        inherited_only = "InheritOnly" in entry.flags
        if entry.verdict != "allow" or inherited_only or entry.principal in ("owner@", "root"):
            continue
        if writes:
            problem = f"lets {entry.kind}:{entry.principal} write, by its NFSv4 ACL"
            return _steered(directory, problem, f"mmeditacl {shlex.quote(directory)}")
    return None


def _steered(directory: str, problem: str, advice: str) -> Fault:
    return Permanent(
        f"{directory} {problem}: somebody who is not an admin could replace what lies below it, so "
        "the service links no fileset there and gives none to anybody",
        advice=f"{advice}; or ask for a `path` elsewhere. If it is the parent of a dependent "
        'fileset: ask for the parent with `mode: "0755"`; or suspend both, and resume the '
        "dependent "
        "one before its parent",
    )


def _stays_open(path: str, fault: Fault) -> Fault:
    """Return the fault for a fileset that cannot be closed: it stays open, and what would close
    it."""
    if isinstance(fault, NotReady):
        return fault
    return type(fault)(
        f"{path} stays open: {fault.message}",
        advice="close the fileset above it first; or let an agent run the commands, which can "
        "close it (docs/agent.md); then `provisioner retry`",
    )


def inside_anothers(
    paths: Mapping[str, str], records: Sequence[Record], spaces: Mapping[str, str]
) -> Mapping[str, Fault]:
    """Return a fault, by fileset, for each junction inside a fileset that a provisioner made.

    paths: where to link each fileset; records: the listing; spaces: for a fileset that is not in
    the listing yet, the fileset whose inode space it will use. GPFS links a dependent fileset only
    within its own inode space.
    """
    by_name = {record["filesetName"]: record for record in records}
    owners = {
        r["inodeSpace"]: r["filesetName"] for r in records if r.get("isInodeSpaceOwner") == "1"
    }
    faults: dict[str, Fault] = {}
    for name, path in paths.items():
        own = by_name.get(name)
        space = owners.get(own["inodeSpace"], "") if own is not None else spaces.get(name, name)
        for holder in records:
            other = holder["filesetName"]
            first = holder.get("comment", "").split(" ", 1)[0]
            if other in (name, space) or not MARK.match(first):
                continue
            if holder["status"] == "Linked" and path.startswith(f"{holder['path']}/"):
                faults[name] = Permanent(
                    f"{path} is inside the fileset {other}, which belongs to another object "
                    f"({first})",
                    advice="ask for a path outside it, or leave `path` out",
                )
    return faults


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path


def is_placed(change: Change, mount: str) -> bool:
    """Return True if a change has to be held against where all filesets are linked.

    Right below the mount point a path lies in no other fileset; what only closes one may lie
    anywhere.
    """
    deep = str(change.data.get("path", "")).count("/") > mount.count("/") + 1
    return change.verb == "link" or (deep and not takes(change))
