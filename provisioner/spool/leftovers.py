"""Leftovers: files that were being written when their writer died, under the names they had then.

Promises: only names of the form that this program gives to what it is still writing, and only
where nobody has written for a minute; signatures whose request was accepted; what is in staging and
no request, where its caller says whose may go; no link is followed.
Leaves out: what has its final name.
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
"""How the name of a request ends that is still being dropped (`drop`)."""

RESULT = ".result"
"""How the name of a result ends that is still being written (`spool`)."""

RECEIPT = ""
"""How the name of a receipt ends, or of a writer's directory, that is being made (`receipts`)."""

_STALE = 60.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(directory: int, ending: str) -> int:
    """Remove what was left in a directory under `.ULID` and the ending; return how many."""
    removed = 0
    stale = time.time() - _STALE
    for name in _names(directory):
        if name[0] != "." or not name.endswith(ending):
            continue
        if ulids.is_ulid(name[1 : len(name) - len(ending)]):
            removed += _remove(directory, name, stale)
    return removed


def remove_signatures(active: int) -> int:
    """Remove signatures from `active`: what was not accepted took its own with it (`spool`)."""
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
        except OSError:  # no directory, or one that was just removed
            continue
        try:
            removed += remove(directory, RECEIPT)
        finally:
            os.close(directory)
    return removed


def no_requests(staging: Path, before: float) -> Iterator[tuple[str, int]]:
    """List what is in staging and is never taken as a request: name, and its owner's uid.

    before: the time since which its status may not have changed, which no writer can set. A
    directory that is not empty stays, as no tree of others' is walked.
    """
    with os.scandir(staging) as entries:
        for entry in entries:
            if is_request(entry.name):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_ctime < before:
                yield entry.name, found.st_uid


def discard(staging: Path, name: str) -> bool:
    """Remove one entry of staging; return whether it is gone."""
    try:
        directory = os.open(staging, _DIRECTORY)
    except OSError:
        return False
    try:
        return _remove(directory, name, math.inf)
    finally:
        os.close(directory)


def _names(directory: int) -> Iterator[str]:
    # A descriptor of its own: one that was duplicated would share the position.
    listing = os.open(".", _DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(listing) as entries:
            for entry in entries:
                yield entry.name
    finally:
        os.close(listing)


def _remove(directory: int, name: str, stale: float) -> bool:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if found.st_mtime > stale:
            return False
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
    except FileNotFoundError:  # its writer lives after all, and gave it its name
        return False
    except OSError as error:
        log.warning("%s, left by a crash, cannot be removed: %s", name, error.strerror)
        return False
    return True
