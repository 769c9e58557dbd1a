"""Copies of the journal: whole, flushed, made while the service runs; and the redo log's files.

Promises: a copy is there whole or not at all, and was read through before it got its name; no file
of the log is removed that the oldest copy that is kept needs. Leaves out: making a journal of them
(`rebuild`).

A copy is named `journal-TIME-POSITION.db`: POSITION is the number of the last transaction in it.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from provisioner.config.schema import Config
from provisioner.contract import ConfigError
from provisioner.journal import migrations
from provisioner.journal.journal import Journal
from provisioner.recovery import redo_log
from provisioner.recovery.lineage import File, trace
from provisioner.recovery.redo_log import RedoLog
from provisioner.recovery.reserve import Reserve

log = logging.getLogger(__name__)

SPARE = 16 * 1024 * 1024
"""Bytes that a copy leaves free on its disk: requests go before copies."""


_LEFT = 86400.0
"""Seconds after which nobody writes to a copy that has no name yet."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in a backup directory."""

    path: Path
    position: int
    at: float


def copies(directory: Path) -> list[Copy]:
    """List the copies, oldest first."""
    found = []
    for path in directory.glob("journal-*-*.db"):
        position = path.stem.rpartition("-")[2]
        if position.isdigit():
            found.append(Copy(path, int(position), path.stat().st_mtime))
    return sorted(found, key=lambda copy: (copy.position, copy.path.name))


def copy_to(journal: Path, target: Path) -> None:
    """Copy a journal into a new file, while whoever may write to it.

    Raises ConfigError where the file is there, there is no room, or the journal is damaged.
    """
    if target.exists():
        raise ConfigError(f"{target} is there already", advice="name a new file")
    try:
        free = shutil.disk_usage(target.parent).free
        if free < journal.stat().st_size + SPARE:
            raise ConfigError(
                f"{target.parent} has no room for a copy of the journal",
                advice=f"make room: df -h {shlex.quote(str(target.parent))}",
            )
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as db:
            migrations.copy(db, target, check)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{journal} cannot be copied to {target}: {error}") from error


def check(path: Path) -> None:
    """Read a copy through. Raises ConfigError where it is damaged."""
    try:
        with closing(sqlite3.connect(path)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if found != [("ok",)]:
        raise ConfigError(f"{path} is damaged: {' '.join(str(found[0][0]).split())}")


def position_of(path: Path) -> tuple[str, int]:
    """Return the id of the journal that a file is a copy of, and its position."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        found = dict(db.execute("SELECT name, value FROM marks").fetchall())
    return found["journal"], int(found["position"])


def back_up(journal: Path, directory: Path, keep: int) -> Path:
    """Add a copy to a backup directory, and remove what is older than `keep` copies need."""
    partial = directory / f".journal-{os.getpid()}.db"
    partial.unlink(missing_ok=True)
    copy_to(journal, partial)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    position = position_of(partial)[1]
    target = directory / f"journal-{moment}-{position:012}.db"
    partial.replace(target)
    migrations.flush(directory)
    prune(directory, keep)
    return target


def prune(directory: Path, keep: int) -> None:
    """Remove the oldest copies beyond a number, and the files of the log that none left needs."""
    for left in directory.glob(".*journal-*.db*"):  # somebody died while copying
        if left.stat().st_mtime < time.time() - _LEFT:
            left.unlink(missing_ok=True)
    found = copies(directory)
    for copy in found[:-keep]:
        copy.path.unlink(missing_ok=True)
    needed = found[-keep:][0].position if found else 0
    listed = redo_log.files(directory)
    if any(trace(f for f in listed if f.journal == one).branches for one in _journals(listed)):
        return  # a rebuild needs both lines
    for file, following in pairwise(listed):
        # A file ends at the latest where the next one begins.
        if following.after <= needed:
            file.path.unlink(missing_ok=True)


def _journals(listed: Iterable[File]) -> set[str]:
    return {file.journal for file in listed}


class Copier:
    """Keeps the redo log of a journal that is served, and copies it now and then."""

    def __init__(self, book: Journal, config: Config) -> None:
        self._journal = book
        self._directory = config.backup_directory
        self._places = config.journal_places
        self._settings = config.backup
        self._log: RedoLog | None = None
        self._short = False
        self._reserve: Reserve | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="copies")

    def open(self) -> None:
        """Keep the log from now on. Raises ConfigError where its directory cannot be used."""
        directory = self._directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_mode & 0o077:
                raise ConfigError(
                    f"{directory} is open to others, and will hold all requests",
                    advice=f"chmod 700 {shlex.quote(str(directory))}",
                )
        except OSError as error:
            raise ConfigError(
                f"the backup directory {directory}: {error.strerror}",
                advice="mend it, or name another: `backup.directory` in the configuration",
            ) from error
        self._short = self._is_short()
        self._log = RedoLog(directory, self._journal.identity, migrations.VERSION)
        self._reserve = Reserve(self._places)
        self._reserve.admits()
        self._journal.record_into(self._log, self._reserve)

    def admits(self) -> bool:
        """Return True if there is room for new work."""
        return self._reserve is None or self._reserve.admits()

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def stop(self) -> None:
        """End after the copy that is under way."""
        self._stopping.set()
        self._thread.join()

    def copy(self) -> Path:
        """Copy now; the log goes on in a new file."""
        with self._journal.transaction():  # nobody writes to the log meanwhile
            if self._log is not None:
                self._log.rotate()
        made = back_up(self._journal.path, self._directory, self._settings.keep)
        self._short = False
        return made

    def due_in(self) -> float:
        """Say in how many seconds the next copy is due."""
        found = copies(self._directory)
        if self._short:
            return 0.0
        # Not later than from now: a copy may be of a time to come, before the clock was set back.
        every = self._settings.every
        return min(found[-1].at - time.time(), 0.0) + every if found else 0.0

    def _is_short(self) -> bool:
        """Return True if the log lacks what came between the newest copy and now."""
        identity, position = self._journal.identity, self._journal.position
        found = copies(self._directory)
        newest = found[-1].position if found else 0
        if trace(redo_log.files(self._directory, identity)).covers(newest, position):
            return False
        log.warning(
            "the redo log in %s does not reach from the newest copy (number %d) to the journal "
            "(number %d): a file of it was removed or cut; a new copy is made",
            self._directory,
            newest,
            position,
        )
        return True

    def _run(self) -> None:
        pause = self.due_in()
        while not self._stopping.wait(max(0.0, pause)):
            try:
                self.copy()
                pause = self.due_in()
            except Exception as error:  # the copies before are there, and the log goes on
                log.error("the journal could not be copied: %s", error)
                pause = min(600.0, self._settings.every)
