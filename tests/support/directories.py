"""Directories as tests make and look at them."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from provisioner.contract import Host, Owner

OWNER = Owner(20001, 20002)


def look(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return mode, owner, group and time of change of a directory and of everything below it."""
    seen = [directory, *sorted(directory.rglob("*"))]
    found = {str(path): path.lstat() for path in seen}
    return {p: (s.st_mode, s.st_uid, s.st_gid, s.st_ctime_ns) for p, s in found.items()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def owner_of(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


VERBS: dict[str, Callable[[Host, Path, str], object]] = {
    "observe": lambda host, root, path: host.observe(root, path),
    "make": lambda host, root, path: host.make(
        root, path, owner=Owner(20001, 20002), mode=0o700, skeleton=None
    ),
    "set_owner": lambda host, root, path: host.set_owner(root, path, owner=Owner(20001, 20002)),
    "set_mode": lambda host, root, path: host.set_mode(root, path, mode=0o777),
    "set_acl": lambda host, root, path: host.set_acl(root, path, acl="u:20001:rwx"),
}


WRITES = [verb for verb in VERBS if verb not in {"observe", "make"}]


def let_pass(directory: Path) -> None:
    """Let other users pass to a directory of a test. What lies above those of tests stays."""
    top = Path(tempfile.gettempdir())
    for place in (directory, *directory.parents):
        if place != top and place.is_relative_to(top):
            place.chmod(stat.S_IMODE(place.stat().st_mode) | 0o055)
