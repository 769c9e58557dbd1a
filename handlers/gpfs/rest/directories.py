"""Owner, mode and inode of directories by the REST API v2 alone.

Promises: what documentation has an endpoint for. GET directory is a job that runs `stat`; PUT owner
sets owner and group. There is no endpoint for a mode: permission bits are set by the NFSv4 ACL that
means the same, and bits that no ACL has (set-id, sticky) are refused with words.
Leaves out: hosts where the file system is mounted, where chown, chmod and stat do all of it faster
(`mm.programs.Tools`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from handlers.gpfs.rest import acls, values
from handlers.gpfs.rest.jobs import Jobs
from handlers.gpfs.transport import Entry, unavailable_if_unreadable
from provisioner.contract import NotReady, Permanent

READERS = 4
"""How many jobs that only read run at the same time."""

SPECIAL = 0o7000
"""Bits of a mode that no NFSv4 ACL has."""

OTHERS = 0o077
"""Bits of a mode that give access to others than the owner."""


def relative(path: str, mount: str) -> str:
    """Return a path below the mount point as URLs have it: `/` is %2F."""
    return quote(path.removeprefix(mount).strip("/") or "/", safe="")


@dataclass(frozen=True, slots=True)
class RestDirectories:
    """The directories of one file system. mount: returns its mount point on the GUI's nodes."""

    jobs: Jobs
    filesystem: str
    mount: Callable[[], str]
    opens: ClassVar[bool] = False

    def stat(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what stat says of paths, each by a job; missing paths are left out."""
        mount = self.mount()
        with ThreadPoolExecutor(READERS) as readers:
            found = list(readers.map(lambda path: self._stat(path, mount), paths))
        return {path: entry for path, entry in zip(paths, found, strict=True) if entry is not None}

    def _stat(self, path: str, mount: str) -> Entry | None:
        asked = f"filesystems/{self.filesystem}/directory/{relative(path, mount)}"
        printed = self.jobs.read(asked)
        if printed is None:
            return None
        with unavailable_if_unreadable(f"GET {asked}"):
            return values.entry("\n".join(printed))

    def chown(self, paths: Sequence[str], uid: int, gid: int) -> None:
        """Give paths to an owner and a group, each by a job."""
        mount = self.mount()
        for path in paths:
            asked = f"filesystems/{self.filesystem}/owner/{relative(path, mount)}"
            known_soon(self.jobs, asked, {"uid": str(uid), "gid": str(gid)})

    def chmod(self, paths: Sequence[str], mode: int) -> None:
        """Give paths the permission bits of a mode, by the ACL that means the same."""
        mount = self.mount()
        for path, entry in self.stat(paths).items():
            wrong = (entry.mode ^ mode) & SPECIAL
            if not wrong or mode & OTHERS == 0:  # what takes access is done as far as it can be
                asked = f"filesystems/{self.filesystem}/acl/{relative(path, mount)}"
                self.jobs.write("PUT", asked, acls.body(acls.of_mode(mode)))
            if wrong:
                raise Permanent(
                    f"{path} has mode {entry.mode:04o}: the REST API has no endpoint for set-id "
                    f"and sticky bits, so it cannot get mode {mode:04o}",
                    advice=f"on a node: chmod {mode:05o} {path}; or set `paths: tools`; then "
                    "`provisioner retry`",
                )


def known_soon(jobs: Jobs, asked: str, body: dict[str, str]) -> None:
    """Send a write that names users or groups. Raises NotReady if one is not known yet."""
    try:
        jobs.write("PUT", asked, body)
    except Permanent as fault:
        raise unknown_yet(fault) from fault


def unknown_yet(fault: Permanent) -> NotReady | Permanent:
    """Return NotReady for `EFSSP0010C`: the GUI's node does not know a user or group yet."""
    if "EFSSP0010C" not in fault.message:
        return fault
    return NotReady(
        fault.message,
        advice="the nodes learn of a new group when their cache ends; the service tries again. If "
        "it lasts: `getent group NAME` on the GUI node",
    )
