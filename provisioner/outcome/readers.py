"""Readers: who may enter a writer's directory of receipts.

Promises: besides the service, one user can enter: the one who has the writer's name now. Somebody
who had that name before, or has a former user's uid, is shut out at the next look. Leaves out: when
to look (`receipts`, `retention`), and the content of the directory.
"""

from __future__ import annotations

import errno
import logging
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from provisioner.system import posix_acl
from provisioner.system.ownership import is_private_group
from provisioner.system.users import plain, uid_of

log = logging.getLogger(__name__)

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags to open a writer's directory."""

_ACL = posix_acl.ACCESS
_NO_ACLS = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM}


def admit(directory: int, writer: str) -> str:
    """Let a writer into a directory, and nobody else but the service.

    directory: an open one. It is not written if it is right already. Return why the writer has to
    stay out, or ''. Raises OSError if others may be able to enter.
    """
    _own(directory, writer)
    acl = _acl_of(directory)
    uid = _reader(writer, _users_in(acl))
    if uid is None or uid == os.geteuid():
        _close(directory, acl)
        return ""
    return "" if acl == _acl(uid) else _open(directory, uid)


class Readers:
    """Checks all writers' directories again and again."""

    def __init__(self, receipts: Path) -> None:
        self._receipts = receipts
        self._reported: dict[str, str] = {}

    def revise(self) -> None:
        """Let writers in and others out; log each problem once."""
        amiss = dict(self._amiss())
        for name, why in amiss.items():
            if self._reported.get(name) != why:
                log.error("receipts/%s: %s", name, why)
        self._reported = amiss

    def _amiss(self) -> Iterator[tuple[str, str]]:
        for name in sorted(os.listdir(self._receipts)):  # noqa: PTH208 - names alone
            if name.startswith("."):  # it is being created
                continue
            try:
                directory = os.open(self._receipts / name, DIRECTORY)
                try:
                    why = admit(directory, unquote(name))
                finally:
                    os.close(directory)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                why = str(error)
            if why:
                yield name, why


def _own(directory: int, writer: str) -> None:
    """Make a directory the service's own: an owner could let in anybody."""
    owner, me = os.fstat(directory).st_uid, os.geteuid()
    if owner == me:
        return
    if me != 0:
        path = Path(f"/proc/self/fd/{directory}").readlink()
        why = f"it belongs to uid {owner}, who can read and exchange receipts of {writer}"
        raise PermissionError(errno.EPERM, f"{why}: chown {me} {shlex.quote(str(path))}", str(path))
    os.fchown(directory, me, -1)


def _reader(writer: str, now: set[int]) -> int | None:
    """Return the uid that has a writer's name; None if there is none.

    now: uids that are let in. If nobody has the name, the present reader stays as long as their uid
    has no other name: the name service may be away.
    """
    uid = uid_of(writer)
    if uid is not None:
        return uid if _name_of(uid) in (plain(writer), None) else None
    return next((one for one in now if _name_of(one) is None), None)


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None


def _acl_of(directory: int) -> bytes | None:
    try:
        return os.getxattr(directory, _ACL)
    except OSError as error:
        if error.errno != errno.ENODATA and error.errno not in _NO_ACLS:
            raise
        return None


def _users_in(acl: bytes | None) -> set[int]:
    """Return the users for whom an ACL has entries."""
    return posix_acl.users_in(acl) if acl is not None else set()


def _acl(uid: int) -> bytes:
    """Return the ACL that lets one user in."""
    return posix_acl.encode(f"u:{uid}:r-x", "", 0o700)


def _close(directory: int, acl: bytes | None) -> None:
    if acl is not None:
        os.removexattr(directory, _ACL)
    if stat.S_IMODE(os.fstat(directory).st_mode) != 0o700:
        os.fchmod(directory, 0o700)


def _open(directory: int, uid: int) -> str:
    try:
        os.setxattr(directory, _ACL, _acl(uid))
        return ""
    except OSError as error:
        if error.errno not in _NO_ACLS:
            raise
    return _open_by_group(directory, uid)


def _open_by_group(directory: int, uid: int) -> str:
    """Let a writer in on a file system without ACLs, by a group of their own."""
    try:
        gid = pwd.getpwuid(uid).pw_gid
    except KeyError:
        gid = None
    found = os.fstat(directory)
    if (found.st_gid, stat.S_IMODE(found.st_mode)) == (gid, 0o750):
        return ""
    # Closed first, so that the reader by the former group is out whatever happens next.
    _close(directory, None)
    if gid is None or not is_private_group(uid, gid):
        return f"{_NONE_KEPT}, and uid {uid} has no group of their own"
    try:
        os.fchown(directory, -1, gid)
    except PermissionError as error:
        return f"{_NONE_KEPT}, and it cannot be given to group {gid}: {error.strerror}"
    os.fchmod(directory, 0o750)
    return ""


_NONE_KEPT = "its writer cannot enter: the file system keeps no ACLs"
