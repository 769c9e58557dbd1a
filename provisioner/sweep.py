"""The sweep: which names lie in staging and are to be claimed now.

Promises: it alone would be enough, were there no events. A backlog is read from the disk once and
given in portions; a file that is passed over comes back by itself; a staging directory that was
replaced is taken up, and one that is gone or not safe gives no names. Leaves out: opening files.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.safety import check_directory, check_same_device

log = logging.getLogger(__name__)

ENDINGS = (".yaml", ".yml", ".json")

_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SORTED_BY_TIME = 1000
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
        self._backlog: list[str] = []
        self._later: dict[str, tuple[float, float]] = {}
        self.trouble = ""
        """Why no names come: staging is gone or not safe, with what mends it; '' when all is well.
        """

    def names(self, limit: int) -> list[str]:
        """Give the next names, at most `limit`; none when all were given and nothing is new."""
        if not self._backlog:
            self._backlog = self._swept()
        portion = self._backlog[-limit:]
        del self._backlog[-limit:]
        portion.reverse()
        return portion

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

    def _swept(self) -> list[str]:
        """List staging, or note why it cannot be."""
        try:
            self._renew()
            found, trouble = self._list(), ""
        except ConfigError as error:
            found, trouble = [], f"{error.message}: {error.advice}"
        except OSError as error:  # out of descriptors, or the disk failed
            found, trouble = [], f"{self._staging}: {error.strerror}"
        if trouble and trouble != self.trouble:
            log.error("nothing is taken from staging: %s", trouble)
        self.trouble = trouble
        return found

    def _renew(self) -> None:
        held = os.fstat(self._directory)
        found = _look(self._staging)
        if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
            check_directory(self._staging, found, door=True)
            return
        fresh = self._reopen()
        log.warning("%s was replaced: taking files from the new one", self._staging)
        # dup2 keeps the number, so that no other thread is left with a closed descriptor.
        os.dup2(fresh, self._directory, inheritable=False)
        os.close(fresh)

    def _list(self) -> list[str]:
        """List what may be claimed now, the first at the end."""
        now = time.monotonic()
        found: list[tuple[int, str]] = []
        present: set[str] = set()
        # A descriptor of its own: one that was duplicated would share the position.
        directory = os.open(".", _LISTING, dir_fd=self._directory)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = entry.name
                    if not name.endswith(ENDINGS) or name[0] == ".":
                        continue
                    if self._later:
                        present.add(name)
                        if name in self._later and self._later[name][0] > now:
                            continue
                    found.append((entry.inode(), name))
            for name in self._later.keys() - present:
                del self._later[name]
            if 1 < len(found) <= _SORTED_BY_TIME:
                found = [(_mtime(directory, name), name) for _, name in found]
        finally:
            os.close(directory)
        found.sort(reverse=True)
        return [name for _, name in found]


def _mtime(directory: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return 0
