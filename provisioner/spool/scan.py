"""The scan: which names lie in staging and are to be taken now.

Promises: it alone would be enough, were there no events. Of a backlog each owner of files has a
turn, and what comes behind it is seen while it is served, for a twentieth of the time. A file that
is passed over comes back by itself; a staging directory that was replaced is taken up, and one that
is gone or not safe gives no names. What lies there under a name that only looks like a request's is
told. Leaves out: opening files.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.spool.submission import SIGNATURE, label
from provisioner.spool.turns import Turns
from provisioner.system.ownership import check_directory, check_same_device

log = logging.getLogger(__name__)

ENDINGS = (".yaml", ".yml", ".json")

_MEANT = re.compile(r"\.(ya?ml|json)([.~ ].*)?\Z", re.IGNORECASE)
"""How a name ends that somebody meant for a request's: `X.YAML`, `x.yaml.txt`, `x.json~`."""

_SETTLED = 60.0
"""Seconds after which a name is no longer one that a program gives to what it still writes."""

_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SORTED_BY_TIME = 1000
"""Names that are given in the order of their time; more are read faster in that of their inodes."""

_SELDOM = 20
"""A large backlog is listed again when this many times as long has gone by as listing it took."""

_AT_ONCE = 20_000
"""Names whose owners are asked for at once, so that the first of 100,000 is in hand soon."""

_LONGEST_DELAY = 0.25


def check_staging(spool: Path) -> None:
    """Check staging as the sweep does, in another process than the service's.

    Raises ConfigError saying why nothing is taken from it.
    """
    staging, active = spool / "staging", spool / "active"
    found = _look(staging)
    check_directory(staging, found, door=True, owner=spool.stat().st_uid)
    if active.is_dir():
        check_same_device(staging, found, active.stat())


def passed_over(spool: Path) -> list[str]:
    """List files in staging that are never taken as they are named, though meant for requests.

    What was written within a minute may still get another name. Raises OSError where staging
    cannot be read.
    """
    before, found = time.time() - _SETTLED, []
    with os.scandir(spool / "staging") as entries:
        for entry in entries:
            name = entry.name
            if is_request(name) or name[0] == "." or not _MEANT.search(name):
                continue
            if name.endswith(SIGNATURE) and is_request(name.removesuffix(SIGNATURE)):
                continue
            try:
                there = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if there.st_mtime < before:
                found.append(label(name))
    return sorted(found)


def is_request(name: str) -> bool:
    """Return whether a name in staging is taken as a request's."""
    return name.endswith(ENDINGS) and name[0] != "."


def _look(staging: Path) -> os.stat_result:
    try:
        return staging.lstat()
    except OSError as error:
        raise ConfigError(f"{staging}: {error.strerror}", advice="provisioner init") from None


class Sweep:
    """Names in staging, for one thread."""

    def __init__(self, staging: Path, directory: int, reopen: Callable[[], int]) -> None:
        """directory: descriptor of staging, which keeps its number when staging is replaced;
        reopen: opens staging anew, raising ConfigError where it is not safe.
        """
        self._staging = staging
        self._directory = directory
        self._reopen = reopen
        self._turns = Turns()
        self._listed: list[tuple[int, str]] = []
        self._list_again = 0.0
        self._later: dict[str, tuple[float, float]] = {}
        self.trouble = ""
        """Why no names come: staging is gone or not safe, with what mends it; '' when all is well.
        """

    def names(self, limit: int) -> list[str]:
        """Give the next names, at most `limit`, by turns between the owners of the files.

        None when all were given and nothing is new.
        """
        few = len(self._turns) <= _SORTED_BY_TIME
        if few or self._listed or time.monotonic() >= self._list_again:
            self._sweep()
        while self._listed and not self._turns:  # all that was looked at is gone by now
            self._sweep()
        return self._turns.take(limit)

    def postpone(self, name: str, seconds: float) -> None:
        """Pass a name over for a while, each time in a row for twice as long, to 0.25 s or to
        `seconds` where that is more.
        """
        _, delay = self._later.get(name, (0.0, 0.0))
        delay = max(seconds, min(delay * 2, _LONGEST_DELAY))
        self._later[name] = (time.monotonic() + delay, delay)

    def settle(self, name: str) -> None:
        """Forget that a name was passed over."""
        if self._later:
            self._later.pop(name, None)

    def due_in(self) -> float | None:
        """Say in how many seconds a name that was passed over is due; None: there is none."""
        if not self._later:
            return None
        return max(0.0, min(when for when, _ in self._later.values()) - time.monotonic())

    def _sweep(self) -> None:
        """List what is new in staging, or note why it cannot be, and then give nothing."""
        try:
            if not self._listed:
                self._renew()
                self._listed = self._list()
            portion, self._listed = self._listed[:_AT_ONCE], self._listed[_AT_ONCE:]
            self._turns.add(_owned(self._directory, portion))
            trouble = ""
        except ConfigError as error:
            trouble = f"{error.message}: {error.advice}"
        except OSError as error:  # out of descriptors, or the disk failed
            trouble = f"{self._staging}: {error.strerror}"
        if trouble:
            self._turns.clear()
            self._listed.clear()
        if trouble and trouble != self.trouble:
            log.error("nothing is taken from staging: %s", trouble)
        self.trouble = trouble

    def _renew(self) -> None:
        held = os.fstat(self._directory)
        found = _look(self._staging)
        if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
            check_directory(self._staging, found, door=True)
            return
        fresh = self._reopen()
        self._turns.clear()
        log.warning("%s was replaced: taking files from the new one", self._staging)
        # dup2 keeps the number, so that no other thread is left with a closed descriptor.
        os.dup2(fresh, self._directory, inheritable=False)
        os.close(fresh)

    def _list(self) -> list[tuple[int, str]]:
        """List what may be taken now and was not listed before: inodes and names."""
        now = time.monotonic()
        found: list[tuple[int, str]] = []
        present: set[str] = set()
        # A descriptor of its own: one that was duplicated would share the position.
        directory = os.open(".", _LISTING, dir_fd=self._directory)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = entry.name
                    if not is_request(name):
                        continue
                    if self._later:
                        present.add(name)
                        if name in self._later and self._later[name][0] > now:
                            continue
                    if name not in self._turns:
                        found.append((entry.inode(), name))
            for name in self._later.keys() - present:
                del self._later[name]
        finally:
            os.close(directory)
        found.sort()
        ended = time.monotonic()
        self._list_again = ended + _SELDOM * (ended - now)
        return found


def _owned(directory: int, found: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """Say of inodes and names whose each is and when it came, in that order."""
    by_time = len(found) <= _SORTED_BY_TIME
    owned = []
    for inode, name in found:
        try:
            there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue
        owned.append((there.st_uid, there.st_mtime_ns if by_time else inode, name))
    if by_time:
        owned.sort(key=lambda one: one[1:])
    return owned
