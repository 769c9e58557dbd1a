"""Whether directories can be trusted: owners and modes, from the root of the file system down.

Promises: nobody but root and the service can replace what was checked; each complaint names the
directory and the command that mends it. Leaves out: making anything.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

from provisioner.contract import ConfigError


def check_chain(path: Path) -> None:
    """Check every directory above a path, links resolved.

    Each must belong to root or to this process's user, and be writable by nobody else; a sticky
    one (as /tmp) and one writable by its owner's private group pass. Raises ConfigError.
    """
    for parent in path.resolve().parents:
        found = parent.stat()
        if found.st_uid not in {0, os.geteuid()}:
            raise ConfigError(
                f"{parent} belongs to uid {found.st_uid}, who could replace what is below it",
                advice=f"chown root {shlex.quote(str(parent))}",
            )
        if found.st_mode & stat.S_ISVTX:
            continue
        if found.st_mode & stat.S_IWOTH or (
            found.st_mode & stat.S_IWGRP and not is_private_group(found.st_uid, found.st_gid)
        ):
            raise ConfigError(
                f"{parent} is writable by others, who could replace what is below it",
                advice=f"chmod go-w {shlex.quote(str(parent))}",
            )


def check_directory(
    path: Path, found: os.stat_result, *, door: bool, owner: int | None = None
) -> None:
    """Check one directory of the spool from its stat result.

    door: others may write to it (staging), and then it must be sticky; any other may be written by
    nobody but its owner; owner: uid of the service, where that is another process. Raises
    ConfigError.
    """
    owner = os.geteuid() if owner is None else owner
    quoted = shlex.quote(str(path))
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path} is no directory", advice=f"rm {quoted}; provisioner init")
    if found.st_uid != owner:
        raise ConfigError(
            f"{path} belongs to uid {found.st_uid}, the service runs as uid {owner}",
            advice=f"chown {owner} {quoted}",
        )
    open_to_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not open_to_others:
        return
    if not door:
        raise ConfigError(f"{path} is writable by others", advice=f"chmod go-w {quoted}")
    if not found.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"{path} is writable by others and not sticky: they could remove each other's files",
            advice=f"chmod +t {quoted}",
        )


def check_same_device(staging: Path, found: os.stat_result, active: os.stat_result) -> None:
    """Check that files can be renamed from staging into `active`. Raises ConfigError."""
    if found.st_dev != active.st_dev:
        raise ConfigError(
            f"{staging} is on another file system than active/ beside it, so that no file can be "
            "renamed from one into the other",
            advice=f"umount {shlex.quote(str(staging))}, or mount the whole spool there",
        )


def is_private_group(uid: int, gid: int) -> bool:
    """Tell whether a group is its user's own: of the user's name, with nobody else in it."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
