"""The layout of a spool: how its directories are made, and opened if they are safe.

Promises: an opened directory belongs to this service, and nobody else can write to it; in staging
others can, but nobody can remove another's file. An unsafe directory is named with the command that
fixes it. Leaves out: the files in them (`spool`).
"""

from __future__ import annotations

import grp
import os
import shlex
import stat
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.system import disks
from provisioner.system.ownership import check_chain, check_directory, check_same_device, check_user
from provisioner.system.users import user_name

STAGING = "staging"
OPEN = ("active", "deferred", "held")
CLOSED = ("done", "failed", "quarantine")
RECEIPTS = "receipts"
OWN = "hosts"
"""The directory of what is one host's alone, in a spool that several share."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags to open a directory for listing."""


def make(root: Path, group: str | None) -> None:
    """Make the missing parts of a spool, and set modes.

    group: who may put files into staging. Without one, everybody may if root makes it, and nobody
    else if another user does. Raises ConfigError for an unknown group or an unsafe parent, OSError
    if a directory cannot be made.
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
        _give(root / STAGING, gid, group)
        # A change of group can clear bits of the mode.
        (root / STAGING).chmod(staging)


def own(root: Path, host: str) -> Path:
    """Make the directory of what is a host's alone in a spool that several share; return it.

    Raises ConfigError without that spool.
    """
    if not (root / STAGING).is_dir():
        raise ConfigError(f"{root} is not a spool", advice="provisioner init")
    for path in (root / OWN, root / OWN / host):
        _make(path, 0o700)
    return root / OWN / host


def open_all(root: Path) -> dict[str, int]:
    """Open every place after checking owners, modes and the chain of parents.

    Return descriptors for the caller to close. Raises ConfigError with the directory and the
    command that fixes it.
    """
    if not root.is_dir():
        raise ConfigError(f"{root} does not exist", advice="provisioner init")
    check_user(root)
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
    """Open staging, from which files can be renamed into `active`. Raises ConfigError."""
    descriptor = _open(staging, door=True)
    try:
        check_same_device(staging, os.fstat(descriptor), os.fstat(active))
    except ConfigError:
        os.close(descriptor)
        raise
    return descriptor


def entries(directory: int) -> list[str]:
    """List an open directory."""
    # This needs a descriptor of its own: a duplicate would share the position.
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


def _give(path: Path, gid: int, group: str) -> None:
    """Give a directory to a group. Raises ConfigError if only root or a member could."""
    try:
        os.chown(path, -1, gid)
    except PermissionError as error:
        if os.geteuid() == 0 or gid in (os.getegid(), *os.getgroups()):
            raise
        user = user_name(os.geteuid())
        raise ConfigError(
            f"{path}: only root or a member of the group {group} can give it to that group, and "
            f"{user} is not a member",
            advice=f"usermod --append --groups {shlex.quote(group)} {shlex.quote(user)}; then log "
            "in again and run it again; or run `provisioner init` as root, and chown the spool",
        ) from error


def _make(path: Path, mode: int) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, DIRECTORY)
    try:
        # Only if it differs: we may set it, but a right mode may belong to somebody else.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            with disks.named(path):
                os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _open(path: Path, *, door: bool) -> int:
    try:
        descriptor = os.open(path, DIRECTORY)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", advice="provisioner init") from None
    except NotADirectoryError:
        quoted = shlex.quote(str(path))
        raise ConfigError(
            f"{path} is not a directory", advice=f"rm {quoted}; provisioner init"
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
