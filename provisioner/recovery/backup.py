"""Copies of the journal, made while the service runs, and which files of the redo log they need.

Promises: a copy exists completely or not at all, and was read through before it got its name. A
file of the log stays as long as the oldest kept copy needs it. Leaves out: making a journal from
them (`rebuild`).

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
"""Bytes that a copy leaves free on its disk: requests are more important than copies."""


_LEFT = 86400.0
"""Seconds after which a copy without its final name is abandoned."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in a backup directory."""

    path: Path
    position: int
    at: float


def copies(directory: Path) -> list[Copy]:
    """List the copies, oldest first."""
    listed = []
    for path in directory.glob("journal-*-*.db"):
        position = path.stem.rpartition("-")[2]
        if position.isdigit():
            listed.append(Copy(path, int(position), path.stat().st_mtime))
    return sorted(listed, key=lambda copy: (copy.position, copy.path.name))


def copy_to(journal: Path, target: Path) -> None:
    """Copy a journal into a new file, even while it is written to.

    Raises ConfigError if the file exists, there is no room, or the journal is damaged.
    """
    if target.exists():
        raise ConfigError(f"{target} exists already", advice="name a new file")
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
    """Read a copy through. Raises ConfigError if it is damaged."""
    try:
        with closing(sqlite3.connect(path)) as db:
            lines = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if lines != [("ok",)]:
        raise ConfigError(f"{path} is damaged: {' '.join(str(lines[0][0]).split())}")


def position_of(path: Path) -> tuple[str, int]:
    """Return the id of a copy's journal, and the position of the copy."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        values = dict(db.execute("SELECT name, value FROM marks").fetchall())
    return values["journal"], int(values["position"])


def back_up(journal: Path, directory: Path, keep: int) -> Path:
    """Add a copy to a backup directory, and remove what the `keep` newest copies do not need."""
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
    """Keep the newest copies and the files of the log that they need; remove the others."""
    for left in directory.glob(".*journal-*.db*"):  # from a process that died while copying
        if left.stat().st_mtime < time.time() - _LEFT:
            left.unlink(missing_ok=True)
    listed = copies(directory)
    for copy in listed[:-keep]:
        copy.path.unlink(missing_ok=True)
    needed = listed[-keep:][0].position if listed else 0
    files = redo_log.files(directory)
    if any(trace(f for f in files if f.journal == name).branches for name in _journals(files)):
        return  # a rebuild needs both lines
    for file, following in pairwise(files):
        # A file ends no later than where the next one begins.
        if following.after <= needed:
            file.path.unlink(missing_ok=True)


def _journals(files: Iterable[File]) -> set[str]:
    return {file.journal for file in files}


class Copier:
    """Keeps the redo log of a journal that is served, and copies the journal regularly."""

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
        """Keep the log from now on. Raises ConfigError if its directory cannot be used."""
        directory = self._directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_mode & 0o077:
                raise ConfigError(
                    f"{directory} is open to others, but will hold all requests",
                    advice=f"chmod 700 {shlex.quote(str(directory))}",
                )
        except OSError as error:
            raise ConfigError(
                f"the backup directory {directory}: {error.strerror}",
                advice="fix it, or name another: `backup.directory` in the configuration",
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
        """Start copying."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current copy."""
        self._stopping.set()
        self._thread.join()

    def copy(self) -> Path:
        """Copy now; the log continues in a new file."""
        with self._journal.transaction():  # nobody writes to the log meanwhile
            if self._log is not None:
                self._log.rotate()
        made = back_up(self._journal.path, self._directory, self._settings.keep)
        self._short = False
        return made

    def due_in(self) -> float:
        """Return the seconds until the next copy is due."""
        listed = copies(self._directory)
        if self._short:
            return 0.0
        # Count from now at the latest: a copy can be in the future if the clock was set back.
        every = self._settings.every
        return min(listed[-1].at - time.time(), 0.0) + every if listed else 0.0

    def _is_short(self) -> bool:
        """Return True if the log lacks transactions between the newest copy and now."""
        identity, position = self._journal.identity, self._journal.position
        listed = copies(self._directory)
        newest = listed[-1].position if listed else 0
        if trace(redo_log.files(self._directory, identity)).covers(newest, position):
            return False
        log.warning(
            "the redo log in %s does not reach from the newest copy (number %d) to the journal "
            "(number %d): a file was removed or cut; a new copy will be made",
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
            except Exception as error:  # earlier copies and the log still exist
                log.error("the journal could not be copied: %s", error)
                pause = min(600.0, self._settings.every)
