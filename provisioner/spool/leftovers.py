"""Leftovers: files that were being written when their writer died, under their temporary names.

Promises: only names of the form that this program gives to unfinished files are removed, and only
if nobody has written to them for a minute. Signatures go whose request was accepted, and other
files in staging if the caller names their owner. No link is followed. Leaves out: files with their
final name.
"""

from __future__ import annotations

import logging
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from provisioner.spool.scan import is_request
from provisioner.spool.submission import SIGNATURE
from provisioner.system import ulid as ulids

log = logging.getLogger(__name__)

DROPPED = ".tmp"
"""The end of the name of a request that is still being dropped (`drop`)."""

RESULT = ".result"
"""The end of the name of a result that is still being written (`spool`)."""

RECEIPT = ""
"""The end of the name of a receipt, or a writer's directory, that is being made (`receipts`)."""

_STALE = 60.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(directory: int, ending: str) -> int:
    """Remove files named `.ULID` and the ending from a directory; return their number."""
    removed = 0
    stale = time.time() - _STALE
    for name in _names(directory):
        if name[0] != "." or not name.endswith(ending):
            continue
        if ulids.is_ulid(name[1 : len(name) - len(ending)]):
            removed += _remove(directory, name, stale)
    return removed


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
    with os.scandir(staging) as entries:
        for entry in entries:
            if is_request(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_ctime < before:
                yield entry.name, status.st_uid


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


def _names(directory: int) -> Iterator[str]:
    # This needs a descriptor of its own: a duplicate would share the position.
    listing = os.open(".", _DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(listing) as entries:
            for entry in entries:
                yield entry.name
    finally:
        os.close(listing)


def _remove(directory: int, name: str, stale: float) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
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
