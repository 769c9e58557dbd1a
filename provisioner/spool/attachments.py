"""Attachments: files beside a request that belong to it, a manifest or a signature.

Promises: what holds for requests holds for them: no link is followed, nothing is waited for, and
what somebody is still writing is not read. A signature is taken into `active` behind its request,
so that the next one of that name cannot take its place. Leaves out: what they say (`manifest`,
`signature`).
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
        """staging, active: descriptors of the directories, which keep their numbers."""
        self._staging = staging
        self._active = active

    def manifest(self, name: str, limit: int) -> Submission:
        """Read a file that a request names, where it lies in staging; it stays there.

        limit: most bytes. Raises InvalidRequest saying why it cannot be had, NotThere where there
        is none.
        """
        if "/" in name:
            raise NotThere(f"{label(name)} is not in staging")
        return self._have(name, lambda opened: read(opened, ulids.new(), name, limit))

    def signature(self, request: Submission, limit: int) -> Submission:
        """Take the signature of a request that was taken, and read it.

        limit, raises: as for a manifest. One that cannot be read stays in staging; where that is
        not the request's owner's, it counts as not there: anybody may put one beside a request.
        """
        name = request.name + SIGNATURE
        entry = entry_of(request.ulid, request.name) + SIGNATURE

        def take(opened: Opened) -> Submission | Rejected | None:
            found = read(opened, request.ulid, name, limit)
            if not isinstance(found, Submission):
                return found
            rename_new(self._staging, name, self._active, entry)
            there = os.stat(entry, dir_fd=self._active, follow_symlinks=False)
            if not os.path.samestat(there, os.fstat(opened.file)):
                rename_new(self._active, entry, self._staging, name)
                return None
            return replace(found, name=name)

        try:
            return self._have(name, take)
        except InvalidRequest:
            if self._is_of(name, request.uid):
                raise
            raise NotThere(f"{label(name)} is another's, and cannot be read") from None

    def _is_of(self, name: str, uid: int) -> bool:
        """Return True if what lies in staging, of whatever kind, is a user's."""
        try:
            return os.stat(name, dir_fd=self._staging, follow_symlinks=False).st_uid == uid
        except FileNotFoundError:
            return False

    def discard(self, found: Submission) -> None:
        """Remove a companion that was read, unless its name is another file's by now."""
        taken = f"{found.ulid}-{found.name}"
        for directory, entry in ((self._staging, found.name), (self._active, taken)):
            try:
                there = os.stat(entry, dir_fd=directory, follow_symlinks=False)
                if (there.st_dev, there.st_ino) == (found.device, found.inode):
                    os.unlink(entry, dir_fd=directory)
            except FileNotFoundError:
                continue

    def _have(self, name: str, use: Callable[[Opened], Submission | Rejected | None]) -> Submission:
        """Have a file of staging open, and nobody writing to it, while it is used."""
        try:
            opened = open_unwritten(self._staging, name)
            if opened is None:
                raise InvalidRequest(f"{label(name)} is no file that the service may read")
            try:
                found = use(opened)
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
