"""An entry of a directory, as the directory's own file system has it: opened, looked at, renamed.

Promises: what is mounted on an entry is never asked anything. Who owns a directory may mount a file
system on it that their own program serves (FUSE): it refuses everybody else, root too, or never
answers. Such an entry fails with EXDEV, at once. A rename is atomic, and never replaces an existing
file: where the file system has no RENAME_NOREPLACE (NFS), a file only gets a name that nobody else
gives. Leaves out: names with directories in them, and flushing. Before Linux 5.6, or where a
sandbox forbids openat2(2), a mount is crossed, and fails as it wants.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from functools import cache

_OPENAT2 = 437  # on every machine that Linux runs on, but Alpha
_NO_XDEV = 0x01
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_RENAME_NOREPLACE = 1

Rename = Callable[[int, str, int, str], None]
"""A function that renames: source's directory and name, target's directory and name."""

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_libc, "renameat2", None)
if _renameat2 is not None:
    _renameat2.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )


class _How(ctypes.Structure):
    """`struct open_how`, from linux/openat2.h."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_long,
    ctypes.c_char_p,
    ctypes.POINTER(_How),
    ctypes.c_size_t,
)


def open_at(directory: int, name: str, flags: int) -> int:
    """Open an entry, which is not created; return its descriptor.

    directory: descriptor; name: a single component; flags: as for `os.open`. Raises OSError as
    `os.open` does, and with EXDEV if something is mounted on the entry.
    """
    if not _has_openat2():
        return os.open(name, flags, dir_fd=directory)
    if "\0" in name:  # as `os.open` does; C would end the name there
        raise ValueError("embedded null byte")
    opened = -1
    while opened < 0:
        opened = _open(directory, os.fsencode(name), flags)
        code = ctypes.get_errno() if opened < 0 else 0
        if code == errno.EXDEV:
            raise OSError(code, "a file system is mounted on it: umount it", name)
        if code not in {0, errno.EINTR}:
            raise OSError(code, os.strerror(code), name)
    return opened


def look(directory: int, name: str) -> os.stat_result:
    """Return the status of an entry, following no link. Raises OSError, as `open_at`."""
    if not _has_openat2():
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    opened = open_at(directory, name, _LOOK)
    try:
        return os.fstat(opened)
    finally:
        os.close(opened)


def is_of_process(error: OSError) -> bool:
    """Return True if an error is not the entry's: this process can open no other one either."""
    return error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def rename_new(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename by directory file descriptors; names are single components.

    Raises FileExistsError if the target exists, or if it is a file's, and may exist: by links,
    others would see a file with two names, and who dies would leave both. Raises FileNotFoundError
    if the source does not exist, and OSError otherwise, as rename(2) gives it.
    """
    if _renamed(source_dir, source, target_dir, target):
        return
    # Nobody mounts anything on what is renamed so, and the names of receipts' are paths.
    there = os.stat(source, dir_fd=source_dir, follow_symlinks=False)
    if not stat.S_ISDIR(there.st_mode) or _is_there(target_dir, target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)
    try:
        os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(errno.EEXIST, error.strerror, source, None, target) from None
        raise


def rename_own(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename to a name that nobody else gives, such as one with a new id. Raises as `rename_new`.

    One of several processes does it; to the others the source is gone.
    """
    if not _renamed(source_dir, source, target_dir, target):
        os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)


def _renamed(source_dir: int, source: str, target_dir: int, target: str) -> bool:
    """Rename with RENAME_NOREPLACE. Return False where there is none."""
    if _renameat2 is None:
        return False
    names = source_dir, os.fsencode(source), target_dir, os.fsencode(target)
    if not _renameat2(*names, _RENAME_NOREPLACE):
        return True
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS}:
        return False
    raise OSError(code, os.strerror(code), source, None, target)


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _open(directory: int, name: bytes, flags: int) -> int:
    how = _how(flags)
    return int(_syscall(_OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how)))


@cache
def _how(flags: int) -> _How:
    return _How(flags, 0, _NO_XDEV)


@cache
def _has_openat2() -> bool:
    # An old kernel, or a sandbox: each says so in its own way, but neither opens the root.
    opened = _open(-1, b"/", _LOOK)
    if opened >= 0:
        os.close(opened)
        return True
    return ctypes.get_errno() in {errno.EMFILE, errno.ENFILE, errno.EXDEV}
