"""Stored: a journal that is one file, or a copy of one, which nobody has open.

Promises: what `journal.stored` asks. Leaves out: an open one (`file`).
"""

from __future__ import annotations

import glob
import logging
import shlex
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from provisioner.contract import ConfigError, Finding, Level
from provisioner.journal.database import Place
from provisioner.journal.sqlite import copies, migrations
from provisioner.journal.sqlite.file import connect, not_shared
from provisioner.journal.stored import Check, Numbered, readable
from provisioner.system.disks import flush
from provisioner.system.locks import locked

__all__ = ["Stored", "connect"]

log = logging.getLogger(__name__)

_OTHERS = 0o077
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Stored:
    """A `journal.stored.Stored`, and a `Copy`."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Return True if the file has something. Raises PermissionError."""
        try:
            return self._path.stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def make_way(self) -> None:
        """Make the directory."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def reserved(self) -> AbstractContextManager[None]:
        """Hold the lock beside the file."""
        return locked(self._path)

    def behind(self) -> bool:
        """Raise ConfigError: a file is for one process."""
        raise not_shared(self._path)

    def unserved(self) -> AbstractContextManager[None]:
        """Raise ConfigError: a file is for one process."""
        raise not_shared(self._path)

    def make_ready(self) -> None:
        """Migrate it, which keeps a copy; close it to others: it holds all requests."""
        path = self._path
        try:
            kept = migrations.migrate(path)
        except sqlite3.Error:
            kept = None  # whoever opens it says what is wrong
        except ConfigError as error:
            raise ConfigError(f"the journal {path}: {error.message}", advice=error.advice) from None
        if kept is not None:
            log.info("the journal has a new version; the old one is kept in %s", kept)
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if file.exists() and file.stat().st_mode & _OTHERS:
                file.chmod(0o600)
                log.warning("%s was open to others; now only the service can read it", file)

    def position(self) -> tuple[str, int]:
        """Return its id, and its position."""
        with readable(sqlite3.Error):
            return copies.position_of(self._path)

    def newest_event(self) -> str | None:
        """Return the hash of the newest event."""
        with readable(sqlite3.Error):
            return copies.newest_event(self._path)

    def damage(self) -> str:
        """Read every page."""
        with readable(sqlite3.Error):
            return copies.damage(self._path)

    def redo(self, done: Iterable[Numbered]) -> None:
        """Commit transactions that only the redo log has."""
        with readable(sqlite3.Error):
            for number, did in done:
                copies.redo(self._path, number, did)

    def was_restored(self) -> bool:
        """Return False: the redo log and the copies say it (`recovery.level`)."""
        return False

    def settle(self) -> None:
        """Do nothing."""

    def settle_again(self) -> None:
        """Forget where the ones went that were here before."""
        for file in self._renamed():
            with suppress(sqlite3.Error):  # one that is no journal
                copies.note_moved(file, None)

    def size(self) -> int:
        """Return how long the file is."""
        return self._path.stat().st_size

    def copy(self, target: Path, check: Check) -> None:
        """Copy it."""
        with readable(sqlite3.Error):
            copies.copy(self._path, target, check)

    def retire(self, to: Place) -> Place:
        """Note in it where the journal is now, and rename it, with what SQLite has beside it."""
        with suppress(sqlite3.Error):  # without room: it is set aside all the same
            copies.note_moved(self._path, str(to))
        ends = (".moved", *(f".moved{number}" for number in range(2, 1000)))
        end = next(end for end in ends if not self._path.with_name(self._path.name + end).exists())
        for beside in ("-wal", "-shm", ""):
            file = self._path.with_name(self._path.name + beside)
            if file.exists():
                file.rename(self._path.with_name(f"{self._path.name}{end}{beside}"))
        flush(self._path.parent)
        return self._path.with_name(self._path.name + end)

    def moved_to(self) -> str | None:
        """Read it in the file that was renamed."""
        for file in self._renamed():
            with suppress(sqlite3.Error):  # one that is no journal
                if (to := copies.moved_to(file)) is not None:
                    return to
        return None

    def _renamed(self) -> list[Path]:
        """List the files of journals that were here before."""
        beside = self._path.parent.glob(f"{glob.escape(self._path.name)}.moved*")
        return [file for file in beside if not file.name.endswith(("-wal", "-shm"))]

    def findings(self) -> Sequence[Finding]:
        """Return whether others may write to it."""
        if self._path.stat().st_mode & _OTHERS_WRITE:
            advice = f"chmod go-w {shlex.quote(str(self._path))}"
            message = f"{self._path} is writable by others"
            return [Finding(Level.ERROR, "journal", message, advice)]
        return [Finding(Level.OK, "journal", str(self._path))]
