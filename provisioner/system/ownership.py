"""Whether directories can be trusted: owners and modes, from the root of the file system down.

Promises: only root and the service can replace what was checked, or change a link on the way to it;
each complaint names the directory and the command that fixes it. Leaves out: making anything.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.system.users import user_name


def check_chain(path: Path) -> None:
    """Check every directory on the way to a path, and who owns the links on it.

    Each must belong to root or to this process's user, and nobody else may write to a directory; a
    sticky one (as /tmp) and one writable by its owner's private group pass. Raises ConfigError.
    """
    for at, status in _passed(path):
        if stat.S_ISLNK(status.st_mode):
            if status.st_uid not in {0, os.geteuid()}:
                raise ConfigError(
                    f"{at} is a link of uid {status.st_uid}, who could change its target",
                    advice=f"rm {shlex.quote(at)}; ls -l {shlex.quote(_above(at))} to see who "
                    "makes it",
                )
            continue
        flaw = exchangeable(status.st_uid, status.st_gid, status.st_mode)
        if flaw:
            reason, command = flaw
            raise ConfigError(
                f"{at} {reason}, who could replace what is below it",
                advice=f"{command} {shlex.quote(at)}",
            )


def exchangeable(uid: int, gid: int, mode: int) -> tuple[str, str] | None:
    """Return why others could replace entries of a directory, and which command fixes it.

    uid, gid, mode: from `stat`. None: only root and this process's user could.
    """
    if uid not in {0, os.geteuid()}:
        return f"belongs to uid {uid}", "chown root"
    if mode & stat.S_ISVTX:
        return None
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not is_private_group(uid, gid)):
        return "is writable by others", "chmod go-w"
    return None


def _above(at: str) -> str:
    return at.rpartition("/")[0] or "/"


def check_user(path: Path) -> None:
    """Check that root does not act in a service's directory, where its files would be root's.

    path: a file or directory that is there. Raises ConfigError.
    """
    owner = path.stat().st_uid
    if os.geteuid() == 0 != owner:
        name = user_name(owner)
        raise ConfigError(
            f"{path} belongs to {name}, you are root: what you make there would be root's",
            advice=f"type it as that user: sudo -u {name} provisioner ...",
        )


def _passed(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each directory above a path, and each link, in the order in which the kernel passes
    them.

    Raises OSError if something above the path does not exist. The way is text, because each home is
    looked at by it, and to join a Path takes as long as to ask the kernel.
    """
    at, links = "/", 0
    yield at, os.lstat(at)
    left = list(reversed(path.absolute().parts[1:]))
    while left:
        name = left.pop()
        at = _above(at) if name == ".." else f"{at.removesuffix('/')}/{name}"
        try:
            status = os.lstat(at)
        except FileNotFoundError:
            if not left:
                return
            raise
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            yield at, status
            target = Path(at).readlink()
            at = "/" if target.is_absolute() else _above(at)
            left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        elif left:
            yield at, status


_LINKS = 40
"""The most links on a way: Linux follows no more (path_resolution(7))."""


def check_directory(
    path: Path, status: os.stat_result, *, door: bool, owner: int | None = None
) -> None:
    """Check one directory of the spool from its stat result.

    door: others may write to it (staging), and then it must be sticky; only its owner may write to
    any other; owner: uid of the service, if that is another process. Raises ConfigError.
    """
    owner = os.geteuid() if owner is None else owner
    open_to_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sound = not open_to_others or (door and status.st_mode & stat.S_ISVTX)
    if stat.S_ISDIR(status.st_mode) and status.st_uid == owner and sound:
        return  # as mostly; each sweep asks
    quoted = shlex.quote(str(path))
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(f"{path} is not a directory", advice=f"rm {quoted}; provisioner init")
    if status.st_uid != owner:
        raise ConfigError(
            f"{path} belongs to uid {status.st_uid}, but the service runs as uid {owner}",
            advice=f"chown {owner} {quoted}",
        )
    if not door:
        raise ConfigError(f"{path} is writable by others", advice=f"chmod go-w {quoted}")
    raise ConfigError(
        f"{path} is writable by others and not sticky: they could remove each other's files",
        advice=f"chmod +t {quoted}",
    )


def check_same_device(staging: Path, status: os.stat_result, active: os.stat_result) -> None:
    """Check that files can be renamed from staging into `active`. Raises ConfigError."""
    if status.st_dev != active.st_dev:
        raise ConfigError(
            f"{staging} is on another file system than active/ beside it, so the service cannot "
            "rename files from one into the other",
            advice=f"umount {shlex.quote(str(staging))}, or mount the whole spool there",
        )


def is_private_group(uid: int, gid: int) -> bool:
    """Return True if a group is private to its user: it has the user's name, and nobody else is in
    it."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
