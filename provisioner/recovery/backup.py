"""Copies of the journal, made while the service runs, and which files of the redo log they need.

Promises: a copy exists completely or not at all, and was read through before it got its name. A
file of the log stays as long as the oldest kept copy needs it. Several journals may share a
directory: copies and log files of another journal count for nothing and stay. A damaged copy counts
for nothing either. Leaves out: making a journal from them (`rebuild`).

A copy is named `journal-TIME-JOURNAL-POSITION.db`: JOURNAL is the journal's id, POSITION the number
of the last transaction in it. Earlier versions left JOURNAL out. Each look at the directory reads
the head of a copy and one table, which says the same again. That tells a file that was cut, or
spoilt at its beginning. All pages are read when a copy is made, when the service starts (the newest
copy), and before older copies are removed (the oldest one that is kept).
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from provisioner.config.schema import Config
from provisioner.contract import ConfigError
from provisioner.journal import stored
from provisioner.journal.database import Place
from provisioner.journal.journal import Journal
from provisioner.journal.schema import VERSION
from provisioner.journal.stored import Unreadable
from provisioner.recovery import redo_log
from provisioner.recovery.lineage import trace
from provisioner.recovery.redo_log import RedoLog
from provisioner.recovery.reserve import Reserve
from provisioner.system import ulid, users
from provisioner.system.disks import flush

log = logging.getLogger(__name__)

SPARE = 16 * 1024 * 1024
"""Bytes that a copy leaves free on its disk: requests are more important than copies."""


_LEFT = 86400.0
"""Seconds after which a copy without its final name is abandoned."""


_DAMAGED = ".damaged"
"""The end of the name of a copy in which a damaged page was found."""

_UNREADABLE = (Unreadable, KeyError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in a backup directory.

    journal: whose it is, '' if neither its content nor its name says so; at: when it was made,
    seconds since the epoch; size: bytes; whole: no damage was found.
    """

    path: Path
    journal: str
    position: int
    at: float
    size: int
    whole: bool


def check_usable(directory: Path) -> None:
    """Raise ConfigError if this process cannot write copies into a directory, or not make it."""
    there = directory
    while not os.access(there, os.F_OK, effective_ids=True) and there != there.parent:
        there = there.parent
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        if there == directory:
            check_closed(directory)
        return
    user, quoted = users.user_name(os.geteuid()), shlex.quote(str(directory))
    why = f"{user} may not write there"
    if there != directory:
        why = f"it does not exist, and {user} cannot make it: {there} is not {user}'s to write to"
    raise ConfigError(
        f"no copy of the journal can be kept in the backup directory {directory}: {why}",
        advice=f"install -d -m 700 -o {user} {quoted}, where the service's unit may write "
        "(ReadWritePaths); or name another: `backup.directory` in the configuration",
    )


def check_closed(directory: Path) -> None:
    """Raise ConfigError if others may look into a directory of copies, OSError without it."""
    if directory.stat().st_mode & 0o077:
        raise ConfigError(
            f"{directory} is open to others, but will hold all requests",
            advice=f"chmod 700 {shlex.quote(str(directory))}",
        )


def copies(directory: Path, journal: str | None = None) -> list[Copy]:
    """List the whole copies, oldest first. journal: only those of the journal with that id."""
    return [copy for copy in found(directory, journal) if copy.whole]


def newest_at(directory: Path, journal: str) -> float | None:
    """Return when the newest whole copy of a journal was made, seconds since the epoch."""
    return max((copy.at for copy in copies(directory, journal)), default=None)


def found(directory: Path, journal: str | None = None) -> list[Copy]:
    """List all copies, also the damaged ones, oldest first. journal: as in `copies`."""
    listed = []
    for path in directory.glob("journal-*.db*"):
        named = _named(path)
        if named is None or (journal and named[0] not in ("", journal)):
            continue
        try:
            copy = look(path)
        except FileNotFoundError:
            continue  # another process has removed it
        if journal in (None, copy.journal):
            listed.append(copy)
    return sorted(listed, key=lambda copy: (copy.position, copy.path.name))


def sharing(directory: Path, journal: Place) -> str:
    """Return as text which other journals have copies in the directory of one; '' if none has."""
    try:
        identity, _ = stored.of(journal).position()
    except _UNREADABLE:
        return ""  # other checks say why
    others = sorted({copy.journal for copy in found(directory)} - {"", identity})
    if not others:
        return ""
    return (
        f"{directory} also has copies of {', '.join(others)}; this journal is {identity}, and each "
        "service counts and removes only its own"
    )


def _named(path: Path) -> tuple[str, int] | None:
    """Return the journal and the position that a name says; None if it is not that of a copy."""
    stem = path.name.removesuffix(_DAMAGED)
    words = stem.removesuffix(".db").split("-")
    if not stem.endswith(".db") or len(words) < 3 or not words[-1].isdigit():
        return None
    return words[-2] if ulid.is_ulid(words[-2]) else "", int(words[-1])


def look(path: Path) -> Copy:
    """Return what a copy is, without reading all of it. Raises FileNotFoundError."""
    status = path.stat()
    journal, position = _named(path) or ("", 0)
    whole = False
    with suppress(*_UNREADABLE):
        # Nothing reads a file that is shorter than its head says.
        journal, position = stored.copied(path).position()
        whole = not path.name.endswith(_DAMAGED)
    return Copy(path, journal, position, status.st_mtime, status.st_size, whole)


def is_spoilt(copy: Copy) -> bool:
    """Read a copy through. If it is damaged, log that, rename it, and return True."""
    try:
        check(copy.path)
    except ConfigError as error:
        if not copy.path.exists():
            return True
        log.error(
            "a copy of the journal does not count any more: %s; look at its disk: dmesg -T",
            error.message,
        )
        copy.path.rename(copy.path.with_name(f"{copy.path.name}{_DAMAGED}"))
        return True
    return False


def copy_to(journal: Place, target: Path) -> None:
    """Copy a journal into a new file, even while it is written to.

    Raises ConfigError if the file exists, there is no room, or the journal is damaged.
    """
    if target.exists():
        raise ConfigError(f"{target} exists already", advice="name a new file")
    try:
        free = shutil.disk_usage(target.parent).free
        if free < stored.of(journal).size() + SPARE:
            raise ConfigError(
                f"{target.parent} has no room for a copy of the journal",
                advice=f"make room: df -h {shlex.quote(str(target.parent))}",
            )
        stored.of(journal).copy(target, check)
    except (OSError, Unreadable) as error:
        raise ConfigError(f"{journal} cannot be copied to {target}: {error}") from error


def may_read(path: Path) -> bool:
    """Return whether this process may read a file, if it is there at all."""
    return not path.exists() or os.access(path, os.R_OK, effective_ids=True)


def check(path: Path) -> None:
    """Read a copy through. Raises ConfigError if it is damaged, or not this process's to read."""
    if not may_read(path):
        raise ConfigError(f"{path} cannot be read by {users.user_name(os.geteuid())}")
    try:
        damage = stored.copied(path).damage()
    except (OSError, Unreadable) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if damage:
        raise ConfigError(f"{path} is damaged: {damage}")


def back_up(journal: Place, directory: Path, keep: int) -> Copy:
    """Add a copy to a backup directory, and remove what the journal's newest `keep` do not need.

    Raises ConfigError if no copy can be made, or the directory is changed meanwhile.
    """
    # Processes of two containers may have one number.
    partial = directory / f".journal-{os.getpid()}-{time.time_ns()}.db"
    try:
        copy_to(journal, partial)
        identity, position = stored.copied(partial).position()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = directory / f"journal-{moment}-{identity}-{position:012}.db"
        partial.replace(target)
        flush(directory)
        prune(directory, identity, keep, target)
        return look(target)
    except _UNREADABLE as error:
        raise ConfigError(
            f"the backup directory {directory} was changed while a copy was made in it: {error}",
            advice=f"find out what else writes to it, ls -la {shlex.quote(str(directory))}; then "
            "again: provisioner backup",
        ) from error


def prune(directory: Path, journal: str, keep: int, made: Path | None = None) -> None:
    """Keep a journal's newest copies and the files of the log that they need; remove its others.

    made: a copy that stays, and was just read through.
    """
    for left in directory.glob(".*journal-*.db*"):  # from a process that died while copying
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _LEFT:
                left.unlink()
    files = redo_log.files(directory, journal)
    if trace(files).branches:
        return  # a rebuild needs both lines, and a copy of each
    listed = copies(directory, journal)
    kept, older = listed[-keep:], listed[:-keep]
    while older and kept[0].path != made and is_spoilt(kept[0]):
        kept[0] = older.pop()
    if not kept:
        return
    needed = kept[0].position
    if len(kept) == keep:
        damaged = [copy for copy in found(directory, journal) if not copy.whole]
        older += [copy for copy in damaged if copy.position < needed]
    for copy in older:
        if copy.path != made:
            copy.path.unlink(missing_ok=True)
    for file, following in pairwise(files):
        # A file ends no later than where the next one begins.
        if following.after <= needed:
            file.path.unlink(missing_ok=True)


def rename_former(directory: Path, journal: str) -> None:
    """Give a journal's copies of earlier versions a name that says whose they are."""
    for copy in copies(directory, journal):
        if _named(copy.path) == ("", copy.position):
            before, _, position = copy.path.name.rpartition("-")
            copy.path.rename(copy.path.with_name(f"{before}-{journal}-{position}"))


class Copier:
    """Keeps the redo log of a journal that is served, and copies the journal regularly."""

    def __init__(self, book: Journal, config: Config) -> None:
        self._journal = book
        self._path = config.journal
        self._directory = config.backup_directory
        self._places = config.journal_places
        self._settings = config.backup
        self._log: RedoLog | None = None
        self._short = False
        self._reserve: Reserve | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="copies")

    def make_way(self) -> None:
        """Make the directory of copies. Raises ConfigError if it cannot be used."""
        directory = self._directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_closed(directory)
        except OSError as error:
            raise ConfigError(
                f"the backup directory {directory}: {error.strerror}",
                advice="fix it, or name another: `backup.directory` in the configuration",
            ) from error

    def open(self) -> None:
        """Keep the log from now on. Raises ConfigError if its directory cannot be used."""
        self.make_way()
        directory = self._directory
        rename_former(directory, self._journal.identity)
        self._short = self._is_short()
        self._log = RedoLog(directory, self._journal.identity, VERSION, stored.of(self._path).kind)
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
        """Copy now; the log continues in a new file. Raises ConfigError, also if others may look.

        The directory may have changed since the start, or is another one where its disk is missing.
        """
        self.make_way()
        with self._journal.transaction():  # nobody writes to the log meanwhile
            if self._log is not None:
                self._log.rotate()
        made = back_up(self._path, self._directory, self._settings.keep)
        self._short = False
        return made.path

    def due_in(self) -> float:
        """Return the seconds until the next copy is due."""
        newest = newest_at(self._directory, self._journal.identity)
        if self._short or newest is None:
            return 0.0
        # Count from now at the latest: a copy can be in the future if the clock was set back.
        return min(newest - time.time(), 0.0) + self._settings.every

    def _is_short(self) -> bool:
        """Return True if the log lacks transactions between the newest copy and now."""
        identity, position = self._journal.identity, self._journal.position
        listed = copies(self._directory, identity)
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

    def _first_in(self) -> float:
        """Return the seconds until a copy is due, counted from the newest that reads through."""
        listed = copies(self._directory, self._journal.identity)
        while listed and is_spoilt(listed[-1]):
            listed.pop()
        return self.due_in()

    def _run(self) -> None:
        try:
            pause = self._first_in()
        except Exception as error:  # a new copy shows what is wrong
            log.error("the newest copy of the journal could not be read: %s", error)
            pause = 0.0
        while not self._stopping.wait(max(0.0, pause)):
            try:
                self.copy()
                pause = self._settings.every
            except Exception as error:  # earlier copies and the log still exist
                log.error("the journal could not be copied: %s", error)
                pause = min(600.0, self._settings.every)
