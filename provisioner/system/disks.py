"""Disks: which path could not be written, and what to do about it.

Promises: an error of an open file has its path, as an error of a name does. Leaves out: a disk that
fills up while the service runs (`reserve`, `journal`).
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADVICE = {
    errno.ENOSPC: "make room on that disk (df -h {path}; df -i {path}), then run it again",
    errno.EDQUOT: "make room, or raise the quota of the service's user (quota -s), then run it "
    "again",
    errno.EROFS: "check what is mounted there (findmnt -T {path}), and in the kernel's log (dmesg) "
    "whether it turned read-only by itself",
    errno.EACCES: "check who owns each directory (namei -l {path}); run it as the user who made "
    "the spool",
    errno.EPERM: "check lsattr -d {path}, and whether the unit may write there (ReadWritePaths)",
}


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Add a path to an OSError that has none, such as one from a descriptor."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def advice(error: OSError) -> str:
    """Return what to do if a file cannot be written; '' for an unknown reason."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "."
    return _ADVICE.get(error.errno or 0, "").format(path=shlex.quote(path))


def flush(path: Path) -> None:
    """Make a file's content, or a directory's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
