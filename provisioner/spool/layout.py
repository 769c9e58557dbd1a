"""The layout of a spool: its directories, how they are made, and opened where they are safe.

Promises: what is opened is a directory of this service's that nobody else may write to, staging
aside, in which nobody may remove another's file; one that is not is named with the command that
mends it. Leaves out: the files in them
(`spool`).
"""

from __future__ import annotations

import grp
import os
import shlex
import stat
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.system import disks
from provisioner.system.ownership import check_chain, check_directory, check_same_device

STAGING = "staging"
OPEN = ("active", "deferred", "held")
CLOSED = ("done", "failed", "quarantine")
RECEIPTS = "receipts"

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened to be listed."""


def make(root: Path, group: str | None) -> None:
    """Make what is missing of a spool, and set modes.

    group: who may put files into staging; without one everybody may where root makes it, and
    nobody else where another user does. Raises ConfigError for an unknown group or an unsafe
    parent, OSError when a directory cannot be made.
    """
    gid = _group(group) if group is not None else -1
    shared = 0o1730 if group is not None else 0o1733
    staging = 0o700 if group is None and os.geteuid() != 0 else shared
    _make(root, 0o711)
    check_chain(root)
    _make(root / RECEIPTS, 0o711)
    for place in (*OPEN, *CLOSED):
        _make(root / place, 0o700)
    _make(root / STAGING, staging)
    if group is not None:
        os.chown(root / STAGING, -1, gid)
        # A change of group may clear bits of the mode.
        (root / STAGING).chmod(staging)


def open_all(root: Path) -> dict[str, int]:
    """Open every place after checking owners, modes and the chain of parents.

    Return descriptors, to be closed by the caller. Raises ConfigError naming the directory and the
    command that mends it.
    """
    if not root.is_dir():
        raise ConfigError(f"{root} is not there", advice="provisioner init")
    check_chain(root)
    check_directory(root, root.stat(), door=False)
    directories: dict[str, int] = {}
    try:
        for place in (*OPEN, *CLOSED, RECEIPTS):
            directories[place] = _open(root / place, door=False)
        directories[STAGING] = open_staging(root / STAGING, directories["active"])
    except BaseException:
        for descriptor in directories.values():
            os.close(descriptor)
        raise
    return directories


def open_staging(staging: Path, active: int) -> int:
    """Open staging, from which files must be renamed into `active`. Raises ConfigError."""
    descriptor = _open(staging, door=True)
    try:
        check_same_device(staging, os.fstat(descriptor), os.fstat(active))
    except ConfigError:
        os.close(descriptor)
        raise
    return descriptor


def entries(directory: int) -> list[str]:
    """List a directory that is open."""
    # A descriptor of its own: one that was duplicated would share the position.
    listing = os.open(".", DIRECTORY, dir_fd=directory)
    try:
        return os.listdir(listing)  # noqa: PTH208 - a descriptor
    finally:
        os.close(listing)


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group {name!r}", advice=f"groupadd --system {shlex.quote(name)}"
        ) from None


def _make(path: Path, mode: int) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, DIRECTORY)
    try:
        # Only where it differs: ours to set, but a mode that is right may be another's to change.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            with disks.named(path):
                os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _open(path: Path, *, door: bool) -> int:
    try:
        descriptor = os.open(path, DIRECTORY)
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there", advice="provisioner init") from None
    except NotADirectoryError:
        quoted = shlex.quote(str(path))
        raise ConfigError(
            f"{path} is no directory", advice=f"rm {quoted}; provisioner init"
        ) from None
    except PermissionError as error:
        raise ConfigError(
            f"{path}: {error.strerror}", advice="run as the user who made the spool"
        ) from error
    try:
        check_directory(path, os.fstat(descriptor), door=door)
    except ConfigError:
        os.close(descriptor)
        raise
    return descriptor
