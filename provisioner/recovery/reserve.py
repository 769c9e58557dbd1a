"""A reserve of disk: outcomes can still be recorded when there is no room for new work.

Promises: new work is taken only while the reserve is held and some room is left beside it; what has
to be recorded finds the reserve's room when there is no other. Leaves out: making room.
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
"""Bytes that have to be free beside it for new work."""

LOW = 1024 * 1024
"""Free bytes below which it is given up for what has to be recorded."""

NAME = ".reserve"


def trouble(directories: Sequence[Path]) -> str:
    """Say on which disks new work finds no room; '' where there is enough. Takes nothing."""
    full = [path for path in _files(directories) if not _has_room(path)]
    if not full:
        return ""
    places = ", ".join(f"{path.parent} ({_free(path) >> 20} MiB are free)" for path in full)
    return f"no room on the disk of {places}"


class Reserve:
    """A file on each disk that a transaction is written to."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._files = _files(directories)
        self._told = False

    def admits(self) -> bool:
        """Return True if there is room for new work; what was given up is taken again first."""
        full = [path for path in self._files if not _holds(path)]
        if full and not self._told:
            places = ", ".join(str(path.parent) for path in full)
            log.error("no room on the disk of %s: nothing new is accepted until there is", places)
        elif not full and self._told:
            log.warning("there is room again: what waits in staging is accepted")
        self._told = bool(full)
        return not full

    def ease(self) -> None:
        """Give room for what has to be recorded, if there is little."""
        for path in self._files:
            if _free(path) < LOW:
                path.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Give all its room."""
        for path in self._files:
            path.unlink(missing_ok=True)


def _files(directories: Sequence[Path]) -> tuple[Path, ...]:
    first = {place.stat().st_dev: place / NAME for place in reversed(directories)}
    return tuple(first.values())


def _has_room(path: Path) -> bool:
    return _free(path) >= ROOM + (0 if path.exists() else SIZE)


def _free(path: Path) -> int:
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


def _holds(path: Path) -> bool:
    """Say whether a reserve is held with room beside it, after taking it where there is enough."""
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
