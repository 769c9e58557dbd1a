"""Attachments: files beside a request that belong to it, a manifest or a signature.

Promises: they are read like requests: no link is followed, nothing blocks, and a file that somebody
is still writing is not read. A signature is taken into `active` after its request, so that the next
one of that name cannot replace it. Leaves out: their content (`manifest`, `signature`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from provisioner.contract import InvalidRequest
from provisioner.spool.submission import (
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
from provisioner.system import ulid as ulids
from provisioner.system.rename import rename_new


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
            rename_new(self._staging, name, self._active, entry)
            there = os.stat(entry, dir_fd=self._active, follow_symlinks=False)
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

    def _is_of(self, name: str, uid: int) -> bool:
        """Return True if what has a name in staging, of any kind, is a user's."""
        try:
            return os.stat(name, dir_fd=self._staging, follow_symlinks=False).st_uid == uid
        except FileNotFoundError:
            return False

    def discard(self, companion: Submission) -> None:
        """Remove a companion that was read, unless another file has its name now."""
        taken = f"{companion.ulid}-{companion.name}"
        for directory, entry in ((self._staging, companion.name), (self._active, taken)):
            try:
                there = os.stat(entry, dir_fd=directory, follow_symlinks=False)
                if (there.st_dev, there.st_ino) == (companion.device, companion.inode):
                    os.unlink(entry, dir_fd=directory)
            except FileNotFoundError:
                continue

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
