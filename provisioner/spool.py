"""The spool: where request files wait, are worked on, and end.

Promises: the only module that moves a request's file. A file is claimed by a rename that one
claimer wins, into a directory that nobody else can enter; it is checked and read through one
descriptor, which the name cannot be exchanged under; no link is followed and nothing is waited for.
Every move may be done again. All is done by directory file descriptors.
Leaves out: what the files say, and which of them the journal knows. Nothing here is flushed: after
a power cut the journal's bytes count, and moves are redone from it.

Names: in `active`, `deferred` and `held` a file is `ULID`, in `done`, `failed` and `quarantine` it
is `ULID-NAME`, NAME being the name in staging as `label` gives it.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import logging
import os
import shlex
import stat
from pathlib import Path

from provisioner import leftovers
from provisioner import ulid as ulids
from provisioner.contract import ConfigError, InvalidRequest
from provisioner.rename import rename_new
from provisioner.requestfile import (
    RESULT,
    Claimed,
    NotThere,
    Opened,
    Rejected,
    StillWritten,
    label,
    open_unwritten,
    read,
    reject_unopened,
)
from provisioner.safety import check_chain, check_directory, check_same_device
from provisioner.sweep import Sweep

__all__ = ["Claimed", "Rejected", "Spool", "label", "result_entry"]

log = logging.getLogger(__name__)

STAGING = "staging"
OPEN = ("active", "deferred", "held")
CLOSED = ("done", "failed", "quarantine")
RECEIPTS = "receipts"
PLACES = (STAGING, *OPEN, *CLOSED)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BUSY, _FAILED, _DENIED = 0.01, 1.0, 60.0
"""Seconds before a file is looked at again: it is written to; the disk failed; we may not."""


class Spool:
    """The directories of one spool. `waiting` and `claim` are for one thread, all else for any."""

    def __init__(self, root: Path, directories: dict[str, int]) -> None:
        """Use `open` instead."""
        self.root = root
        self._directories = directories
        self._lock: int | None = None
        self._sweep = Sweep(self.staging, directories[STAGING], self._open_staging)

    @property
    def staging(self) -> Path:
        """Where writers put their files."""
        return self.root / STAGING

    @property
    def receipts(self) -> Path:
        """Where writers find their receipts."""
        return self.root / RECEIPTS

    # Making and opening.

    @classmethod
    def create(cls, root: Path, group: str | None = None) -> Spool:
        """Make what is missing of a spool, set modes, and open it.

        group: who may put files into staging; without one everybody may where root makes it, and
        nobody else where another user does. Raises ConfigError for an unknown group or an unsafe
        parent, OSError when a directory cannot be made.
        """
        gid = _group(group) if group is not None else -1
        shared = 0o1730 if group is not None else 0o1733
        staging = 0o700 if group is None and os.geteuid() != 0 else shared
        _make(root, 0o711)
        check_chain(root)
        _make(root / RECEIPTS, 0o711)
        for place in PLACES:
            _make(root / place, staging if place == STAGING else 0o700)
        if group is not None:
            os.chown(root / STAGING, -1, gid)
            # A change of group may clear bits of the mode.
            (root / STAGING).chmod(staging)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path) -> Spool:
        """Open a spool after checking owners, modes and the chain of parents.

        Raises ConfigError naming the directory and the command that mends it.
        """
        if not root.is_dir():
            raise ConfigError(f"{root} is not there", advice="provisioner init")
        check_chain(root)
        check_directory(root, root.stat(), door=False)
        directories: dict[str, int] = {}
        try:
            for place in (*OPEN, *CLOSED, RECEIPTS):
                directories[place] = _open_place(root / place, door=False)
            directories[STAGING] = _open_door(root / STAGING, directories["active"])
        except BaseException:
            for descriptor in directories.values():
                os.close(descriptor)
            raise
        return cls(root, directories)

    def close(self) -> None:
        """Give up all descriptors, and the lock with them."""
        for descriptor in self._directories.values():
            os.close(descriptor)
        self._directories.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def lock(self) -> None:
        """Become the one service of this spool; the kernel ends that with the process.

        Raises ConfigError naming the process that is.
        """
        path = self.root / "lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise ConfigError(
                f"{self.root} is served by another process, pid {holder or 'unknown'}",
                advice=f"stop it first; ps -p {holder}" if holder.isdigit() else "stop it first",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    # Taking files.

    @property
    def trouble(self) -> str:
        """Why nothing is taken from staging, with what mends it; '' when all is well."""
        return self._sweep.trouble

    def waiting(self, limit: int) -> list[str]:
        """List names to claim, at most `limit`; none when all were given and nothing is new.

        The names of one sweep are given in portions, so that a backlog is read from the disk once:
        ask until none come. Up to 1000 are in order of their time, more in order of their inode.
        None come while staging is gone or not safe: see `trouble`.
        """
        return self._sweep.names(limit)

    def due_in(self) -> float | None:
        """Say in how many seconds a file that was passed over should be looked at again."""
        return self._sweep.due_in()

    def claim(self, name: str) -> Claimed | Rejected | None:
        """Take a file out of staging into `active` and read it; never raises for one file's sake.

        None: it is gone, or it is passed over for a while (`due_in`): somebody is still writing to
        it, it cannot be moved, or the disk or the process has no room; the log says why.
        """
        try:
            opened = open_unwritten(self._directories[STAGING], name)
        except FileNotFoundError:
            self._sweep.settle(name)
            return None
        except StillWritten:
            self._sweep.postpone(name, _BUSY)
            return None
        except OSError as error:
            self._pass_over(name, error)
            return None
        try:
            return self._claim(name, ulids.new(), opened)
        finally:
            if opened is not None:
                os.close(opened.file)

    def companion(self, name: str, limit: int) -> Claimed:
        """Read a file that a request names, where it lies in staging; it stays there.

        limit: most bytes. Raises InvalidRequest saying why it cannot be had, NotThere where there
        is none.
        """
        try:
            if "/" in name:
                raise FileNotFoundError(name)
            opened = open_unwritten(self._directories[STAGING], name)
            if opened is None:
                raise InvalidRequest(f"{label(name)} is no file that the service may read")
            try:
                found = read(opened, ulids.new(), name, limit)
            finally:
                os.close(opened.file)
        except FileNotFoundError:
            raise NotThere(f"{label(name)} is not in staging") from None
        except (StillWritten, OSError) as error:
            raise InvalidRequest(f"{label(name)} cannot be read: {error}") from None
        if found is None or isinstance(found, Rejected):
            why = "changed while it was read" if found is None else found.reason
            raise InvalidRequest(f"{label(name)}: {why}")
        return found

    def discard_companion(self, found: Claimed) -> None:
        """Remove a companion file that was read, unless its name is another file's by now."""
        try:
            there = os.stat(found.name, dir_fd=self._directories[STAGING], follow_symlinks=False)
            if (there.st_dev, there.st_ino) == (found.device, found.inode):
                os.unlink(found.name, dir_fd=self._directories[STAGING])
        except FileNotFoundError:
            return

    # Moving files.

    def move(self, ulid: str, source: str, target: str, name: str | None) -> bool:
        """Move a file between places; False when it is not in the source.

        name: the request's name, needed for a closed place; without it the source is searched and
        the target's entry is the bare ULID.
        """
        entry = self._entry(source, ulid, name)
        if entry is None:
            return False
        try:
            os.rename(
                entry,
                _entry_of(target, ulid, name),
                src_dir_fd=self._directories[source],
                dst_dir_fd=self._directories[target],
            )
        except FileNotFoundError:
            return False
        return True

    def locate(self, ulid: str, name: str | None = None) -> tuple[str, str] | None:
        """Find the place and entry of a request's file; quick when its name is given."""
        for place in (*OPEN, *CLOSED):
            entry = self._entry(place, ulid, name)
            if entry is None:
                continue
            try:
                os.stat(entry, dir_fd=self._directories[place], follow_symlinks=False)
            except FileNotFoundError:
                continue
            return place, entry
        return None

    def listed(self, place: str) -> list[str]:
        """List the ULIDs of the files in a place, oldest first."""
        found = {entry[: ulids.LENGTH] for entry in self._entries(place)}
        return sorted(ulid for ulid in found if ulids.is_ulid(ulid))

    def return_to_staging(
        self, ulid: str, source: str = "active", name: str | None = None
    ) -> str | None:
        """Put a file back where its writer put it; None when it is not in the source.

        Where its name is taken or not known, its ULID comes into the name. Returns the new name.
        """
        entry = self._entry(source, ulid, name)
        if entry is None:
            return None
        stem, dot, ending = (label(name) if name else ".yaml").rpartition(".")
        free = f"{stem}-{ulid}{dot}{ending}" if stem else f"{ulid}{dot}{ending}"
        for wanted in (name, free) if name else (free,):
            try:
                rename_new(self._directories[source], entry, self._directories[STAGING], wanted)
            except FileNotFoundError:
                return None
            except FileExistsError:
                continue
            return wanted
        raise FileExistsError(errno.EEXIST, "the name is taken in staging", free)

    # Results.

    def write_result(self, place: str, ulid: str, name: str, text: str) -> str:
        """Write a request's result beside its file, in place of an earlier one; return its entry.

        Not flushed: the journal can make it again.
        """
        directory = self._directories[place]
        temporary, entry = f".{ulid}{leftovers.RESULT}", result_entry(ulid, name)
        try:
            file = os.open(temporary, _CREATE, 0o640, dir_fd=directory)
        except FileExistsError:
            os.unlink(temporary, dir_fd=directory)
            file = os.open(temporary, _CREATE, 0o640, dir_fd=directory)
        try:
            rest = memoryview(text.encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)
        os.rename(temporary, entry, src_dir_fd=directory, dst_dir_fd=directory)
        return entry

    def discard_result(self, place: str, ulid: str, name: str) -> None:
        """Remove the result of an earlier try, if there is one."""
        try:
            os.unlink(result_entry(ulid, name), dir_fd=self._directories[place])
        except FileNotFoundError:
            return

    def remove_leftovers(self) -> int:
        """Remove what writers, results and receipts left half written when somebody died.

        Only what nobody has written to for a minute. Returns how many there were.
        """
        removed = leftovers.remove(self._directories[STAGING], leftovers.DROPPED)
        for place in (*OPEN, *CLOSED):
            removed += leftovers.remove(self._directories[place], leftovers.RESULT)
        return removed + leftovers.remove_receipts(self._directories[RECEIPTS])

    # Private.

    def _claim(self, name: str, ulid: str, opened: Opened | None) -> Claimed | Rejected | None:
        try:
            rename_new(self._directories[STAGING], name, self._directories["active"], ulid)
        except FileNotFoundError:
            self._sweep.settle(name)
            return None
        except OSError as error:
            self._pass_over(name, error)
            return None
        try:
            there = os.stat(ulid, dir_fd=self._directories["active"], follow_symlinks=False)
            if opened is None:
                self._sweep.settle(name)
                return reject_unopened(ulid, name, there)
            # Else the name was given to another file between opening and taking it.
            if os.path.samestat(there, os.fstat(opened.file)):
                found = read(opened, ulid, name)
                if found is not None:
                    self._sweep.settle(name)
                    return found
            self._sweep.postpone(name, _BUSY)
        except OSError as error:
            self._pass_over(name, error)
        try:
            self.return_to_staging(ulid, "active", name)
        except OSError as error:
            log.error("%s stays in active as %s until the next start: %s", label(name), ulid, error)
        return None

    def _pass_over(self, name: str, error: OSError) -> None:
        denied = error.errno in {errno.EACCES, errno.EPERM, errno.EXDEV}
        log.error("%s cannot be taken from staging: %s", label(name), error.strerror)
        self._sweep.postpone(name, _DENIED if denied else _FAILED)

    def _open_staging(self) -> int:
        return _open_door(self.staging, self._directories["active"])

    def _entry(self, place: str, ulid: str, name: str | None) -> str | None:
        """Name a request's entry in a place; search for it where the name is needed and unknown."""
        if name is not None or place in OPEN:
            return _entry_of(place, ulid, name)
        return next(
            (
                entry
                for entry in self._entries(place)
                if entry.startswith(ulid) and not entry.endswith(RESULT)
            ),
            None,
        )

    def _entries(self, place: str) -> list[str]:
        directory = os.open(".", _DIRECTORY, dir_fd=self._directories[place])
        try:
            return os.listdir(directory)  # noqa: PTH208 - a descriptor
        finally:
            os.close(directory)


def result_entry(ulid: str, name: str) -> str:
    """Name the result that lies beside a request's file."""
    return f"{ulid}-{label(name)}{RESULT}"


def _entry_of(place: str, ulid: str, name: str | None) -> str:
    return ulid if place in OPEN or name is None else f"{ulid}-{label(name)}"


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group {name!r}", advice=f"groupadd --system {shlex.quote(name)}"
        ) from None


def _make(path: Path, mode: int) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, _DIRECTORY)
    try:
        # Only where it differs: ours to set, but a mode that is right may be another's to change.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _open_place(path: Path, *, door: bool) -> int:
    try:
        descriptor = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there", advice="provisioner init") from None
    except NotADirectoryError:
        quoted = shlex.quote(str(path))
        raise ConfigError(
            f"{path} is no directory", advice=f"rm {quoted}; provisioner init"
        ) from None
    except PermissionError as error:
        raise ConfigError(
            f"{path}: {error.strerror}", advice="run as the user who made the spool"
        ) from error
    try:
        check_directory(path, os.fstat(descriptor), door=door)
    except ConfigError:
        os.close(descriptor)
        raise
    return descriptor


def _open_door(staging: Path, active: int) -> int:
    """Open staging, from which files must be renamed into `active`."""
    descriptor = _open_place(staging, door=True)
    try:
        check_same_device(staging, os.fstat(descriptor), os.fstat(active))
    except ConfigError:
        os.close(descriptor)
        raise
    return descriptor
