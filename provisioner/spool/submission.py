"""A request's file: opened so that nobody can be writing to it, checked, and read once.

Promises: the open file is judged, not its name. No link is followed, no FIFO blocks, nothing that
is mounted on a file is asked, and no byte is read of a file that cannot be a request. Leaves out:
where files are and how they move (`spool`), and their content (`request`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
from dataclasses import dataclass

from provisioner.contract import InvalidRequest
from provisioner.plain.values import value
from provisioner.system import entry
from provisioner.system import ulid as ulids
from provisioner.system.ulid import RequestId
from provisioner.system.users import user_name

LIMIT = 64 * 1024
"""The largest request, in bytes."""

RESULT = ".result.yaml"
"""The end of the name of a result."""

SIGNATURE = ".sig"
"""The end of the name of a request's signature, after the whole name of the request."""

NAMESPACE = "provisioner"
"""The namespace of a signature, so that one made for mail or git is not accepted here."""

LONGEST = 255 - ulids.LENGTH - len("-") - len(RESULT)
"""The most bytes of a name that entries keep; a longer one is cut."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

TOO_LARGE = "many users go into a file of their own: `users_file`, docs/request-format.md"
"""What to do about a request that is too large, because one request cannot be split."""


@value(frozen=True, slots=True)
class Submission:
    """A request's file, taken and read; from here on only `body` counts.

    name: as `label` returns it; uid, writer: the owner of the open file; alone: a read lease proved
    that nobody had it open for writing, False if the file system has no leases or the service may
    not take one; signed: uid and writer are those of the signer; behind: names of others behind it,
    such as the sender of a request that another one signed; spool: the id of the spool in which it
    was taken, as the journal has it; follows: the request from whose manifest it follows.
    """

    ulid: RequestId
    name: str
    uid: int
    writer: str
    body: bytes
    sha256: str
    device: int
    inode: int
    size: int
    alone: bool = True
    signed: bool = False
    behind: tuple[str, ...] = ()
    spool: str = ""
    follows: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was taken into `active` and cannot be a request.

    reason: for its writer, with what to do; quarantine: an honest writer does not make such files.
    """

    ulid: RequestId
    name: str
    uid: int
    writer: str
    reason: str
    quarantine: bool


@value(frozen=True, slots=True)
class Opened:
    """An open file. file: its descriptor; alone: as in Submission, while the descriptor is open."""

    file: int
    alone: bool


class NotThere(InvalidRequest):
    """A file that a request needs is not beside it."""


class StillWritten(Exception):
    """Somebody has the file open for writing."""


def open_unwritten(directory: int, name: str) -> Opened | None:
    """Open a file for reading, with a lease that keeps writers out until it is closed.

    Return None if it is of a kind that cannot be opened (a link, a socket), or the service may not
    read it. Raises StillWritten, FileNotFoundError, and OSError if descriptors run out, the disk
    fails or something is mounted on it.
    """
    try:
        file = entry.open_at(directory, name, _READ)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM, errno.ENODEV}:
            return None
        raise
    try:
        # When somebody opens a leased file for writing, the kernel sends a signal to the holder.
        # By default that is SIGIO, which ends a process that does not handle it.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            os.close(file)
            raise StillWritten(name) from None
        # EINVAL: not a regular file, or no leases here; EACCES: another's file and no CAP_LEASE.
        return Opened(file, alone=False)
    return Opened(file, alone=True)


def read(
    opened: Opened, ulid: RequestId, name: str, limit: int = LIMIT
) -> Submission | Rejected | None:
    """Check and read an open file of at most `limit` bytes; None if it changed meanwhile.

    Raises OSError if the disk fails.
    """
    before = os.fstat(opened.file)
    reason = _objection(before, limit) or _misnamed(name)
    if reason is not None:
        return _rejected(ulid, name, before, *reason)
    body = os.read(opened.file, limit + 1)
    after = os.fstat(opened.file)
    if _version(after) != _version(before) or len(body) != after.st_size:
        return None
    return Submission(
        ulid=ulid,
        name=label(name),
        uid=after.st_uid,
        writer=user_name(after.st_uid),
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        device=after.st_dev,
        inode=after.st_ino,
        size=after.st_size,
        alone=opened.alone,
    )


def reject_unopened(ulid: RequestId, name: str, status: os.stat_result) -> Rejected:
    """Return why a file that could not be opened cannot be a request."""
    reason = _objection(status)
    if reason is None:
        reason = ("the service may not read it: chmod u+r, or let its owner move it in", False)
    return _rejected(ulid, name, status, *reason)


def label(name: str) -> str:
    """Make a file's name safe for a log, a result and a file name after a ULID.

    Characters that cannot be printed are escaped as `\\x0a`. A long name is cut before its ending.
    A name that this function has returned does not change.
    """
    if not name.isprintable():
        name = "".join(c if c.isprintable() else _escaped(c) for c in name)
    if len(name) * 4 <= LONGEST or len(name.encode()) <= LONGEST:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 8:
        stem, dot, ending = name, "", ""
    room = LONGEST - len((dot + ending).encode()) - 1
    return stem.encode()[:room].decode("utf-8", "ignore") + "~" + dot + ending


def entry_of(ulid: RequestId, name: str) -> str:
    """Return the name of the entry of a request's file in every place after staging."""
    return f"{ulid}-{label(name)}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode returns it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _objection(status: os.stat_result, limit: int = LIMIT) -> tuple[str, bool] | None:
    """Return why a file cannot be a request, and whether to set it aside; None if it can."""
    if not stat.S_ISREG(status.st_mode):
        return f"it is {_kind(status.st_mode)}: put a regular file into staging", True
    if status.st_nlink != 1:
        return f"it has {status.st_nlink} links: copy the file, do not link it", True
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return "it is setuid or setgid: chmod u-s,g-s", True
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        why = f"others may write to it (mode {mode:04o}), perhaps because of umask 002"
        return f"{why}: chmod go-w, then `provisioner submit FILE`, or mv it in again", False
    if status.st_size > limit:
        what = f": {TOO_LARGE}" if limit == LIMIT else ""
        return f"it has {status.st_size} bytes, more than {limit}{what}", False
    return None


def _misnamed(name: str) -> tuple[str, bool] | None:
    """Return why a file with such a name is not taken, like `_objection`."""
    if not label(name).endswith(RESULT):
        return None
    return f"its name ends in {RESULT}, like a result's: give it another, then move it in", True


def _rejected(
    ulid: RequestId, name: str, status: os.stat_result, reason: str, quarantine: bool
) -> Rejected:
    writer = user_name(status.st_uid)
    return Rejected(ulid, label(name), status.st_uid, writer, reason, quarantine)


def _version(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_size, status.st_mtime_ns, status.st_nlink, status.st_mode, status.st_uid)


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "not a regular file")
