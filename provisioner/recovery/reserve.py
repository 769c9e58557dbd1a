"""A reserve of disk space: outcomes can still be recorded when there is no room for new work.

Promises: new work is taken only while the reserve exists and more room is left. A write that has to
happen gets the reserve's room when there is no other. Leaves out: making room.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

SIZE = 16 * 1024 * 1024
"""Bytes of the file that is given up."""

ROOM = 4 * 1024 * 1024
"""Free bytes besides it that new work needs."""

LOW = 1024 * 1024
"""Free bytes below which it is given up for writes that have to happen."""

NAME = ".reserve"


def trouble(directories: Sequence[Path]) -> str:
    """Return the disks without room for new work, as text; '' if there are none. Takes nothing."""
    full = [path for path in _files(directories) if not _has_room(path)]
    if not full:
        return ""
    places = ", ".join(f"{path.parent} ({_free(path) >> 20} MiB are free)" for path in full)
    return f"no room on the disk of {places}"


class Reserve:
    """A file on each disk to which a transaction is written."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._files = _files(directories)
        self._reported = False

    def admits(self) -> bool:
        """Return True if there is room for new work, besides a reserve that is taken again."""
        full = [path for path in self._files if not _holds(path)]
        if full and not self._reported:
            places = ", ".join(str(path.parent) for path in full)
            log.error("no room on the disk of %s: nothing new is accepted until there is", places)
        elif not full and self._reported:
            log.warning("there is room again: what waits in staging is accepted")
        self._reported = bool(full)
        return not full

    def ease(self) -> None:
        """Free some of the reserve for a write that has to happen, if room is short."""
        for path in self._files:
            if _free(path) < LOW:
                path.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Give up the whole reserve."""
        for path in self._files:
            path.unlink(missing_ok=True)


def _files(directories: Sequence[Path]) -> tuple[Path, ...]:
    first = {place.stat().st_dev: place / NAME for place in reversed(directories)}
    return tuple(first.values())


def _has_room(path: Path) -> bool:
    return _free(path) >= ROOM + (0 if path.exists() else SIZE)


def _free(path: Path) -> int:
    stats = os.statvfs(path.parent)
    return stats.f_bavail * stats.f_frsize


def _holds(path: Path) -> bool:
    """Return True if the reserve exists with room besides it; take it first if there is enough."""
    if not _has_room(path):
        return False
    if path.exists():
        return True
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(file, 0, SIZE)
        finally:
            os.close(file)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True
