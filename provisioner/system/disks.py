"""Disks: which path it was that could not be written, and what to do about it.

Promises: an error of a file that is open bears its path, as one of a name does. Leaves out: a disk
that fills up while requests are served (`reserve`, `journal`).
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADVICE = {
    errno.ENOSPC: "make room on that disk (df -h {path}; df -i {path}), then type it again",
    errno.EDQUOT: "make room, or raise the quota of the user who serves (quota -s), then type it "
    "again",
    errno.EROFS: "findmnt -T {path} says what is mounted there; the kernel's log (dmesg), whether "
    "it turned read-only by itself",
    errno.EACCES: "namei -l {path} says whose each directory is; run as the user who made the "
    "spool",
    errno.EPERM: "lsattr -d {path}, and whether the unit may write there (ReadWritePaths)",
}


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an OSError the path, where it has none: that of a descriptor has none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def advice(error: OSError) -> str:
    """Say what to type where a file cannot be written; '' where it is none of the known reasons."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "."
    return _ADVICE.get(error.errno or 0, "").format(path=shlex.quote(path))
