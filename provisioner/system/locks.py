"""Locks between processes: one process at a time serves a spool, and one serves a journal.

Promises: a lock ends with its process, however that ends; a process that is refused learns which
process holds the lock. Leaves out: threads of one process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.system import disks


def lock(path: Path, served: Path) -> int:
    """Lock a file, which is created if it is missing; the kernel unlocks it with the descriptor.

    served: what the lock protects, for the message. Raises ConfigError that names the process that
    holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise ConfigError(
            f"{served} is served by another process, pid {holder or 'unknown'}",
            advice=f"stop it first; ps -p {holder}" if holder.isdigit() else "stop it first",
        ) from None
    try:
        with disks.named(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(served: Path) -> Iterator[None]:
    """Hold the lock beside a file while it is served. Raises the same ConfigError as `lock`."""
    descriptor = lock(served.with_name(f"{served.name}.lock"), served)
    try:
        yield
    finally:
        os.close(descriptor)
