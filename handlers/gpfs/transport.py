"""What the handler asks of a file system and writes to it, however the cluster is reached.

Promises: the one seam between the handler and a cluster. Each transport returns filesets and quotas
as records under the names of mmlsfileset and mmrepquota, so that one reading, one plan and one
check serve all of them. Each ending of a call is a fault of the contract.
Leaves out: the transports themselves (`mm`, `rest`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from handlers.gpfs.terms import listing
from handlers.gpfs.terms.rows import Record, Unreadable
from provisioner.contract import Level, Unavailable

Line = tuple[Level, str, str]
"""A line of `provisioner doctor`: how bad, what was found, how to fix it."""


TRIED = "no real cluster, only on what IBM documents and public clients show (docs/versions.md)"
"""What doctor says beside the version of Storage Scale that answers."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a whole file system. block_kib: block size in KiB; enforced: the kinds of quota that
    are enforced; nfs4: True if the file system keeps NFSv4 ACLs."""

    mount: str
    block_kib: int
    enforced: tuple[str, ...]
    nfs4: bool
    values: Record = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A path as stat sees it. mode: permission bits; directory: True for a directory, not a link to
    one; inode: its number."""

    uid: int
    gid: int
    mode: int
    directory: bool
    inode: int = 0


@dataclass(frozen=True, slots=True)
class NewFileset:
    """A fileset to make. comment: begins with our mark; parent: owner of the inode space of a
    dependent one, None for an independent one; inode_limit: None for the file system's own; path:
    absolute, where it will be linked."""

    name: str
    comment: str
    parent: str | None
    inode_limit: int | None
    path: str


class Directories(Protocol):
    """Owner, mode and inode of directories below the mount point."""

    @property
    def opens(self) -> bool:
        """Return True if chown and chmod work on directories that were opened, not on names."""

    def stat(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what stat says of paths, without following a last link; missing paths are left
        out."""

    def chown(self, paths: Sequence[str], uid: int, gid: int) -> None:
        """Give paths to an owner and a group."""

    def chmod(self, paths: Sequence[str], mode: int) -> None:
        """Give paths all bits of a mode."""


class Transport(Directories, Protocol):
    """One way to a cluster, for one file system.

    Reading raises Unavailable if an answer is missing or cannot be trusted. Writing raises Unknown
    if it got no answer, Unavailable if the cluster is away, Transient if it is busy, and Permanent
    if it refused.
    """

    @property
    def filesystem(self) -> str:
        """Return the file system's device name."""

    @property
    def makes_linked(self) -> bool:
        """Return True if a new fileset is also linked, so that its way has to be checked before."""

    def facts(self) -> Facts:
        """Return the facts of the file system."""

    def filesets(self) -> list[Record]:
        """Return all filesets except deleted ones; the list has the fileset `root`."""

    def absent(self, name: str) -> bool:
        """Return True if no fileset has a name; asks for that name alone."""

    def quotas(self, filesystem: str) -> dict[tuple[str, str], Record]:
        """Return the quotas of all filesets, by the fileset's name and id.

        filesystem: its name in the listing of filesets.
        """

    def quota(self, name: str, filesystem: str) -> dict[tuple[str, str], Record]:
        """Return the quota of one fileset, empty if none is kept."""

    def user_quotas(self, filesystem: str) -> dict[tuple[int, str], Record]:
        """Return the quotas of all users, by uid and the fileset's name."""

    def acl(self, path: str) -> str:
        """Return the NFSv4 ACL of a path as text of mmgetacl."""

    def release(self) -> str:
        """Return the cluster's minReleaseLevel; empty if this transport does not tell it."""

    def checks(self) -> Iterator[Line]:
        """Yield what doctor says of this way to the cluster.

        Raises Unavailable if nothing else can be asked.
        """

    def create(self, fileset: NewFileset) -> None:
        """Make a fileset."""

    def comment(self, name: str, text: str) -> None:
        """Set a fileset's comment."""

    def set_quota(
        self, name: str, quota: Sequence[int] | None, files: Sequence[int] | None
    ) -> None:
        """Set a fileset's soft and hard limits; space in KiB; 0 for none, None: unchanged."""

    def set_inode_limit(self, name: str, limit: int) -> None:
        """Set the inode limit of an independent fileset."""

    def link(self, name: str, path: str) -> None:
        """Link a fileset at an absolute path."""

    def set_acl(self, path: str, text: str) -> None:
        """Set the NFSv4 ACL of a path, from text of mmputacl."""


def mount_of(facts: Facts, configured: Path | None) -> str:
    """Return the mount point: the configured one, else the file system's. Raises Unavailable."""
    mount = str(configured) if configured else facts.mount
    if not mount.startswith("/"):
        raise Unavailable(
            f"the file system has no mount point: {mount!r}",
            advice="set `mount` in the configuration",
        )
    return mount.rstrip("/")


@contextmanager
def unavailable_if_unreadable(what: str) -> Iterator[None]:
    """Turn Unreadable into Unavailable: nothing is decided from it, and the service reads again."""
    try:
        yield
    except Unreadable as error:
        raise Unavailable(
            f"{what}: cannot read its output: {error}",
            advice="run it by hand. The service reads it again and does nothing until then; if the "
            "row looks so each time, check that fileset's comment and name",
        ) from error


def doubt(transport: Transport, records: Sequence[Mapping[str, str]]) -> Unavailable | None:
    """Return a fault for the first row of a listing that cannot be trusted; None if all can."""
    try:
        with unavailable_if_unreadable(f"the filesets of {transport.filesystem}"):
            for record in records:
                listing.check(record)
    except Unavailable as fault:
        return fault
    return None
