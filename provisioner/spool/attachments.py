"""Attachments: files beside a request that belong to it: a manifest, a signature, its result.

Promises: they are read like requests: no link is followed, nothing blocks, and a file that somebody
is still writing is not read. A signature is taken into `active` after its request, so that the next
one of that name cannot replace it. A signed file whose name no entry keeps is refused, as its
signature would not be found. What is written is there whole, or not. Leaves out: their content
(`manifest`, `signature`, `results`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from provisioner.contract import InvalidRequest
from provisioner.spool import leftovers
from provisioner.spool.submission import (
    LONGEST,
    SIGNATURE,
    NotThere,
    Opened,
    Rejected,
    StillWritten,
    Submission,
    entry_of,
    label,
    open_unwritten,
    read,
)
from provisioner.system import entry as entries
from provisioner.system import ulid as ulids
from provisioner.system.entry import rename_new, rename_own
from provisioner.system.ulid import RequestId

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Companions:
    """The companions in one spool."""

    def __init__(self, staging: int, active: int) -> None:
        """staging, active: descriptors of the directories, whose numbers never change."""
        self._staging = staging
        self._active = active

    def manifest(self, name: str, limit: int) -> Submission:
        """Read a file that a request names, in staging; it stays there.

        limit: the most bytes. Raises InvalidRequest if it cannot be read, NotThere if it does not
        exist.
        """
        if "/" in name:
            raise NotThere(f"{label(name)} is not in staging")
        return self._have(name, lambda opened: read(opened, ulids.new(), name, limit))

    def signature(self, request: Submission, limit: int) -> Submission:
        """Take the signature of a request that was taken, and read it.

        limit, raises: as for a manifest. A signature that cannot be read stays in staging. If it
        belongs to somebody other than the request's owner, it counts as missing: anybody may put
        one beside a request.
        """
        name = request.name + SIGNATURE
        entry = entry_of(request.ulid, request.name) + SIGNATURE

        def take(opened: Opened) -> Submission | Rejected | None:
            signature = read(opened, request.ulid, name, limit)
            if not isinstance(signature, Submission):
                return signature
            rename_own(self._staging, name, self._active, entry)
            there = entries.look(self._active, entry)
            if not os.path.samestat(there, os.fstat(opened.file)):
                rename_new(self._active, entry, self._staging, name)
                return None
            return replace(signature, name=name)

        try:
            return self._have(name, take)
        except InvalidRequest:
            if self._is_of(name, request.uid):
                raise
            raise NotThere(f"{label(name)} belongs to somebody else, and cannot be read") from None

    def found_by(self, name: str, taken: Submission | Rejected) -> Submission | Rejected:
        """Return a file that was taken under a name, or why its signature does not go with it."""
        if taken.name == name or isinstance(taken, Rejected):
            return taken
        if not self._is_of(name + SIGNATURE, taken.uid):
            return taken
        shorter = f"give it one of at most {LONGEST} bytes that can be printed, and sign it again"
        why = f"it is signed, and its name cannot be kept as it is: {shorter}"
        return Rejected(taken.ulid, taken.name, taken.uid, taken.writer, why, quarantine=False)

    def _is_of(self, name: str, uid: int) -> bool:
        """Return True if what has a name in staging, of any kind, is a user's."""
        try:
            return entries.look(self._staging, name).st_uid == uid
        except OSError as error:
            if entries.is_of_process(error):
                raise
            return False  # gone, too long, or mounted over

    def discard(self, companion: Submission) -> None:
        """Remove a companion that was read, unless another file has its name now."""
        taken = f"{companion.ulid}-{companion.name}"
        for directory, entry in ((self._staging, companion.name), (self._active, taken)):
            try:
                there = entries.look(directory, entry)
            except OSError:  # gone, or mounted over
                continue
            if (there.st_dev, there.st_ino) == (companion.device, companion.inode):
                with suppress(FileNotFoundError):
                    os.unlink(entry, dir_fd=directory)

    def _have(self, name: str, use: Callable[[Opened], Submission | Rejected | None]) -> Submission:
        """Open a file of staging that nobody is writing to, while it is used."""
        try:
            opened = open_unwritten(self._staging, name)
            if opened is None:
                raise InvalidRequest(f"{label(name)} is not a file that the service may read")
            try:
                companion = use(opened)
            finally:
                os.close(opened.file)
        except FileNotFoundError:
            raise NotThere(f"{label(name)} is not in staging") from None
        except (StillWritten, OSError) as error:
            raise InvalidRequest(f"{label(name)} cannot be read: {error}") from None
        if companion is None or isinstance(companion, Rejected):
            why = "changed while it was read" if companion is None else companion.reason
            raise InvalidRequest(f"{label(name)}: {why}")
        return companion


def write_beside(
    directory: int, ulid: RequestId, entry: str, body: bytes, uid: int | None = None
) -> None:
    """Write a request's file or result, whole, in place of an earlier one.

    directory: an open one; uid: the file's owner, if root writes it.
    """
    temporary = f".{ulid}{leftovers.RESULT}"
    try:
        file = os.open(temporary, _CREATE, 0o640, dir_fd=directory)
    except FileExistsError:
        os.unlink(temporary, dir_fd=directory)
        file = os.open(temporary, _CREATE, 0o640, dir_fd=directory)
    try:
        if uid is not None:
            with suppress(PermissionError):
                os.fchown(file, uid, -1)
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)
    os.rename(temporary, entry, src_dir_fd=directory, dst_dir_fd=directory)
