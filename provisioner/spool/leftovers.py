"""Leftovers: files that were being written when their writer died, under their temporary names.

Promises: only names of the form that this program gives to unfinished files are removed, and only
if nobody has written to them for a minute, by the clock of their file system: that of the host may
be ahead of it. Signatures go whose request was accepted, and other files in staging if the caller
names their owner. No link is followed, and nothing that is mounted here is asked. Leaves out: files
with their final name.
"""

from __future__ import annotations

import logging
import math
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from provisioner.spool.scan import is_request
from provisioner.spool.submission import SIGNATURE
from provisioner.system import entry
from provisioner.system import ulid as ulids

log = logging.getLogger(__name__)

DROPPED = ".tmp"
"""The end of the name of a request that is still being dropped (`drop`)."""

RESULT = ".result"
"""The end of the name of a result that is still being written (`spool`)."""

RECEIPT = ""
"""The end of the name of a receipt, or a writer's directory, that is being made (`receipts`)."""

_STALE = 60.0
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(directory: int, ending: str) -> int:
    """Remove files named `.ULID` and the ending from a directory; return their number."""
    left = [name for name in _names(directory) if _is_left(name, ending)]
    if not left:
        return 0
    try:
        stale = now(directory, ending) - _STALE
    except OSError as error:
        log.warning("what a crash may have left stays: what time it is there: %s", error.strerror)
        return 0
    return sum(_remove(directory, name, stale) for name in left)


def now(directory: int, ending: str = RESULT) -> float:
    """Return the time of day where a directory is, in seconds since the epoch.

    That is what the times of its files are compared with: another host may keep them. ending: of
    the name of a file that is made there for a moment. Raises OSError if none can be.
    """
    name = f".{ulids.new()}{ending}"
    file = os.open(name, _CREATE, 0o600, dir_fd=directory)
    try:
        return os.fstat(file).st_mtime
    finally:
        os.close(file)
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)


def remove_signatures(active: int) -> int:
    """Remove signatures from `active`: rejected requests have taken theirs along (`spool`)."""
    removed = 0
    for name in _names(active):
        if ulids.is_ulid(name[: ulids.LENGTH]) and name.endswith(SIGNATURE):
            removed += _remove(active, name, math.inf)
    return removed


def remove_receipts(receipts: int) -> int:
    """Remove what was left among receipts, and in each writer's directory of them."""
    removed = remove(receipts, RECEIPT)
    for name in _names(receipts):
        try:
            directory = os.open(name, _DIRECTORY, dir_fd=receipts)
        except OSError:  # not a directory, or one that was just removed
            continue
        try:
            removed += remove(directory, RECEIPT)
        finally:
            os.close(directory)
    return removed


def no_requests(staging: Path, before: float) -> Iterator[tuple[str, int]]:
    """List the files in staging that are never taken as requests: name, and owner's uid.

    before: only files whose status has not changed since then, a time that no writer can set. A
    directory that is not empty stays, because nobody else's tree is walked.
    """
    directory = os.open(staging, _DIRECTORY)
    try:
        for name in _names(directory):
            if is_request(name):
                continue
            try:
                status = entry.look(directory, name)
            except OSError:  # gone, or mounted over
                continue
            if status.st_ctime < before:
                yield name, status.st_uid
    finally:
        os.close(directory)


def discard(staging: Path, name: str) -> bool:
    """Remove one entry of staging. Return True if it is gone."""
    try:
        directory = os.open(staging, _DIRECTORY)
    except OSError:
        return False
    try:
        return _remove(directory, name, math.inf)
    finally:
        os.close(directory)


def _is_left(name: str, ending: str) -> bool:
    """Return True for a name of a file that was being written."""
    whole = name[0] == "." and name.endswith(ending)
    return whole and ulids.is_ulid(name[1 : len(name) - len(ending)])


def _names(directory: int) -> Iterator[str]:
    # This needs a descriptor of its own: a duplicate would share the position.
    listing = os.open(".", _DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(listing) as entries:
            for found in entries:
                yield found.name
    finally:
        os.close(listing)


def _remove(directory: int, name: str, stale: float) -> bool:
    try:
        status = entry.look(directory, name)
        if status.st_mtime > stale:
            return False
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
    except FileNotFoundError:  # its writer is alive after all, and gave it its final name
        return False
    except OSError as error:
        log.warning("%s, left by a crash, cannot be removed: %s", name, error.strerror)
        return False
    return True
