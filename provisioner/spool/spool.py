"""The spool: where request files wait, are worked on, and end.

Promises: no other module moves a request's file. A file is taken by a rename that only one process
can win, into a directory that nobody else can enter. It is checked and read through one descriptor,
so that nobody can exchange it under its name. No link is followed and nothing blocks. Every move
can be repeated. Everything uses descriptors of directories. Leaves out: the content of files, and
which of them the journal has. Nothing here is flushed: after a power cut the copy in the journal
decides, and moves are redone from it.

Names: from `active` on, a file is `ULID-NAME`, where NAME is the name in staging as `label` returns
it.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from provisioner.spool import layout, leftovers
from provisioner.spool.attachments import Companions, write_beside
from provisioner.spool.layout import CLOSED, OPEN, RECEIPTS, STAGING
from provisioner.spool.scan import Sweep
from provisioner.spool.submission import (
    RESULT,
    SIGNATURE,
    Opened,
    Rejected,
    StillWritten,
    Submission,
    entry_of,
    label,
    open_unwritten,
    read,
    reject_unopened,
)
from provisioner.system import entry as entries
from provisioner.system import locks
from provisioner.system import ulid as ulids
from provisioner.system.entry import Rename, rename_new, rename_own
from provisioner.system.ulid import RequestId

__all__ = ["Rejected", "Spool", "Submission", "label", "result_entry"]

log = logging.getLogger(__name__)

_BUSY = 0.01
"""Seconds before another look at a file that is being written."""


class Spool:
    """The directories of one spool. `waiting` and `take` are for one thread, the rest for any."""

    def __init__(self, root: Path, own: Path, directories: dict[str, int]) -> None:
        """Use `open` instead."""
        self.root = root
        self.own = own
        """The directory of what is this process's alone: the root, unless others share that."""
        self.identity = ""
        """Its id in the journal: `journal.hosts.spools`."""
        self._directories = directories
        self._lock: int | None = None
        self._sweep = Sweep(self.staging, directories[STAGING], self._open_staging)
        self.companions = Companions(directories[STAGING], directories["active"])

    @property
    def staging(self) -> Path:
        """The directory in which writers put their files."""
        return self.root / STAGING

    @property
    def receipts(self) -> Path:
        """The directory in which writers find their receipts."""
        return self.root / RECEIPTS

    # Making and opening.

    @classmethod
    def create(cls, root: Path, group: str | None = None) -> Spool:
        """Make the missing parts of a spool, set modes, and open it; see `layout.make`."""
        layout.make(root, group)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path, own: Path | None = None) -> Spool:
        """Open a spool if it is safe; see `layout.open_all`. own: see there, None: the root."""
        return cls(root, own or root, layout.open_all(root))

    def close(self) -> None:
        """Close all descriptors, and so release the lock."""
        for descriptor in self._directories.values():
            os.close(descriptor)
        self._directories.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def lock(self) -> None:
        """Become the only service of this spool. Raises ConfigError with the process that is it."""
        self._lock = locks.lock(self.own / "lock", self.root)

    # Taking files.

    @property
    def trouble(self) -> str:
        """Why nothing is taken from staging, with the command that fixes it; '' if all is well."""
        return self._sweep.trouble

    def waiting(self, limit: int) -> list[str]:
        """List names to take, at most `limit`; none if all were given and nothing is new.

        A backlog is given in portions: ask until there are no more. The owners of files take turns
        in each, so that nobody waits behind all files of another one. Up to 1000 names are in order
        of their time, more in order of their inode. None come while staging is missing or unsafe:
        see `trouble`.
        """
        return self._sweep.names(limit)

    def due_in(self) -> float | None:
        """Return the seconds until a file that was passed over needs another look."""
        return self._sweep.due_in()

    def take(self, name: str) -> Submission | Rejected | None:
        """Take a file out of staging into `active` and read it; one file never makes it raise.

        Return None if the file is gone, or is passed over for a while (`due_in`): somebody is still
        writing to it, it cannot be moved, or the disk or the process has no room. The log says why.
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
            self._sweep.pass_over(name, error)
            return None
        try:
            return self._take(name, ulids.new(), opened)
        finally:
            if opened is not None:
                os.close(opened.file)

    # Moving files.

    def move(self, ulid: RequestId, source: str, target: str, name: str | None) -> bool:
        """Move a file between places. Return False if it is not in the source.

        name: the request's name; without it the source is searched.
        """
        entry = self._entry(source, ulid, name)
        if entry is None:
            return False
        try:
            os.rename(
                entry,
                entry,
                src_dir_fd=self._directories[source],
                dst_dir_fd=self._directories[target],
            )
        except FileNotFoundError:
            return False
        return True

    def lies(self, place: str, ulid: RequestId, name: str) -> bool:
        """Return True if a request's file is in a place."""
        return self._size(place, entry_of(ulid, name)) is not None

    def owner(self, place: str, ulid: RequestId, name: str) -> int | None:
        """Return the uid of a request's file in a place; None if it is not there."""
        status = self._status(place, entry_of(ulid, name))
        return None if status is None else status.st_uid

    def taken(self, ulid: RequestId) -> tuple[str, os.stat_result] | None:
        """Return the name and status of a file that was taken; None if it is not in `active`."""
        entry = self._entry("active", ulid, None)
        if entry is None:
            return None
        found = entries.look(self._directories["active"], entry)
        return entry.removeprefix(f"{ulid}-"), found

    def retake(
        self, place: str, ulid: RequestId, name: str, uid: int, sha256: str, by: float
    ) -> bool:
        """Take a request's file again, straight to a place, after a power cut undid its taking.

        by: when it had been accepted; a file that came to staging later is another request. Return
        False if there is no such file of this owner with these bytes.
        """
        try:
            opened = open_unwritten(self._directories[STAGING], name)
        except StillWritten:
            return False
        except OSError as error:
            if entries.is_of_process(error):
                raise
            return False  # gone, or what has its name cannot be opened: it is not ours
        if opened is None:
            return False
        try:
            submission = read(opened, ulid, name)
            # Nobody can set this time: it is that of the writer's rename, or of a later one.
            came = os.fstat(opened.file).st_ctime
            if not isinstance(submission, Submission) or came > by:
                return False
            if (submission.uid, submission.sha256) != (uid, sha256):
                return False
            directory = self._directories[place]
            rename_own(self._directories[STAGING], name, directory, entry_of(ulid, name))
        except FileNotFoundError:
            return False
        finally:
            os.close(opened.file)
        return True

    def now(self) -> float:
        """Return the time of day by which files have theirs; see `leftovers.now`."""
        return leftovers.now(self._directories["active"])

    def listed(self, place: str) -> list[RequestId]:
        """List the ULIDs of the files in a place, oldest first."""
        found = {entry[: ulids.LENGTH] for entry in layout.entries(self._directories[place])}
        return sorted(RequestId(ulid) for ulid in found if ulids.is_ulid(ulid))

    def return_to_staging(
        self, ulid: RequestId, source: str = "active", name: str | None = None
    ) -> str | None:
        """Return a file to where its writer put it, with its signature; None if it is not there.

        name: the request's name; without it the source is searched. If another file in staging may
        have that name, the ULID is put into it. Return the new name.
        """
        entry = self._entry(source, ulid, name)
        if entry is None:
            return None
        wanted = entry.removeprefix(f"{ulid}-")
        stem, dot, ending = wanted.rpartition(".")
        free = f"{stem}-{ulid}{dot}{ending}"
        # The signature goes first: without it the request would be refused.
        beside = source, entry + SIGNATURE
        for new, rename in ((wanted, rename_new), (free, rename_own)):
            try:
                beside = self._put_back(*beside, new + SIGNATURE, rename) or beside
                return new if self._put_back(source, entry, new, rename) else None
            except FileExistsError:
                continue
        raise FileExistsError(errno.EEXIST, "another file in staging has this name", free)

    def put_back(self, files: Iterable[Submission | Rejected]) -> None:
        """Return files that were taken, and of which nothing was recorded, to staging."""
        for file in files:
            self.return_to_staging(file.ulid, "active", file.name)

    def renumber(self, submission: Submission, ulid: RequestId) -> Submission:
        """Give a file that was taken another id, with its signature; return it under that one."""
        active = self._directories["active"]
        for ending in (SIGNATURE, ""):
            old, new = (entry_of(i, submission.name) + ending for i in (submission.ulid, ulid))
            with suppress(FileNotFoundError):
                os.rename(old, new, src_dir_fd=active, dst_dir_fd=active)
        return replace(submission, ulid=ulid)

    def postpone(self, name: str, seconds: float) -> None:
        """Pass over a name in staging for a while."""
        self._sweep.postpone(name, seconds)

    # Results.

    def write_result(self, place: str, ulid: RequestId, name: str, text: str) -> str:
        """Write a request's result beside its file, in place of an earlier one; return its entry.

        It is not flushed: the journal can make it again.
        """
        entry = result_entry(ulid, name)
        body = text.encode("utf-8", "backslashreplace")
        write_beside(self._directories[place], ulid, entry, body)
        return entry

    def write_request(self, place: str, ulid: RequestId, name: str, body: bytes, uid: int) -> None:
        """Write the file of a request that came without one; it gets its writer's uid if it may."""
        write_beside(self._directories[place], ulid, entry_of(ulid, name), body, uid)

    def has_result(self, place: str, ulid: RequestId, name: str) -> bool:
        """Return True if a result exists. An empty one lost its content in a power cut."""
        return bool(self._size(place, result_entry(ulid, name)))

    def discard_result(self, place: str, ulid: RequestId, name: str) -> None:
        """Remove the result of an earlier try, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(result_entry(ulid, name), dir_fd=self._directories[place])

    def remove(self, place: str, ulid: RequestId, name: str) -> None:
        """Remove a request's file and its result for good, if they exist.

        Raises OSError if one cannot be removed.
        """
        directory = self._directories[place]
        for entry in (entry_of(ulid, name), result_entry(ulid, name)):
            try:
                os.unlink(entry, dir_fd=directory)
            except FileNotFoundError:
                continue
            except IsADirectoryError:
                os.rmdir(entry, dir_fd=directory)

    def remove_leftovers(self) -> int:
        """Remove half-written files of writers, results and receipts whose program died.

        This removes only files that nobody has written to for a minute, and signatures of accepted
        requests. Call it before anything is taken. Return the number of files.
        """
        removed = leftovers.remove(self._directories[STAGING], leftovers.DROPPED)
        for place in (*OPEN, *CLOSED):
            removed += leftovers.remove(self._directories[place], leftovers.RESULT)
        removed += leftovers.remove_signatures(self._directories["active"])
        return removed + leftovers.remove_receipts(self._directories[RECEIPTS])

    # Private.

    def _take(
        self, name: str, ulid: RequestId, opened: Opened | None
    ) -> Submission | Rejected | None:
        entry = entry_of(ulid, name)
        try:
            rename_own(self._directories[STAGING], name, self._directories["active"], entry)
        except FileNotFoundError:
            self._sweep.settle(name)
            return None
        except OSError as error:
            self._sweep.pass_over(name, error)
            return None
        try:
            there = entries.look(self._directories["active"], entry)
            if opened is None:
                self._sweep.settle(name)
                return reject_unopened(ulid, name, there)
            # Else the name got another file between opening and taking it.
            if os.path.samestat(there, os.fstat(opened.file)):
                result = read(opened, ulid, name)
                if result is not None:
                    self._sweep.settle(name)
                    return self._here(self.companions.found_by(name, result))
            self._sweep.postpone(name, _BUSY)
        except OSError as error:
            self._sweep.pass_over(name, error)
        try:
            self.return_to_staging(ulid, "active", name)
        except OSError as error:
            log.error("%s stays in active until the next start: %s", entry, error)
        return None

    def _here(self, file: Submission | Rejected) -> Submission | Rejected:
        """Note in which spool a file was taken, where there are several."""
        if not self.identity or isinstance(file, Rejected):
            return file
        return replace(file, spool=self.identity)

    def _open_staging(self) -> int:
        return layout.open_staging(self.staging, self._directories["active"])

    def _size(self, place: str, entry: str) -> int | None:
        """Return the size of an entry in a place; None if there is none."""
        status = self._status(place, entry)
        return None if status is None else status.st_size

    def _status(self, place: str, entry: str) -> os.stat_result | None:
        try:
            return entries.look(self._directories[place], entry)
        except FileNotFoundError:
            return None

    def _put_back(self, place: str, entry: str, name: str, by: Rename) -> tuple[str, str] | None:
        """Rename into staging; None if it is not there. Raises FileExistsError."""
        try:
            by(self._directories[place], entry, self._directories[STAGING], name)
        except FileNotFoundError:
            return None
        return STAGING, name

    def _entry(self, place: str, ulid: RequestId, name: str | None) -> str | None:
        """Return the name of a request's entry; search for it if the name is unknown."""
        if name is not None:
            return entry_of(ulid, name)
        there = {e for e in layout.entries(self._directories[place]) if e.startswith(ulid)}
        # The ending alone is not enough: a request's own name can end like a result's.
        beside = {entry + ending for entry in there for ending in (RESULT, SIGNATURE)}
        return next((e for e in sorted(there - beside) if not e.endswith(SIGNATURE)), None)


def result_entry(ulid: RequestId, name: str) -> str:
    """Return the name of the result beside a request's file."""
    return entry_of(ulid, name) + RESULT
