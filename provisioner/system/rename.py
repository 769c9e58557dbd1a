"""A rename that never replaces an existing file.

Promises: atomic where the kernel and the file system have RENAME_NOREPLACE; elsewhere (NFS) a hard
link with the same errors. Leaves out: flushing.
"""

from __future__ import annotations

import ctypes
import errno
import os

_RENAME_NOREPLACE = 1
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


def rename_new(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename by directory file descriptors; names are single components.

    Raises FileExistsError if the target exists, FileNotFoundError if the source does not, and
    OSError otherwise, as rename(2) gives it.
    """
    if _renameat2 is None:
        _by_link(source_dir, source, target_dir, target)
        return
    if not _renameat2(
        source_dir, os.fsencode(source), target_dir, os.fsencode(target), _RENAME_NOREPLACE
    ):
        return
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS}:
        _by_link(source_dir, source, target_dir, target)
        return
    raise OSError(code, os.strerror(code), source, None, target)


def _by_link(source_dir: int, source: str, target_dir: int, target: str) -> None:
    os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
    os.unlink(source, dir_fd=source_dir)
