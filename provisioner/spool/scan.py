"""The scan: which names in staging are to be taken now.

Promises: it would be enough alone, without events. While a backlog is served, each owner of files
has turns, and later files are noticed; looking for them takes a twentieth of the time. A file that
is passed over comes back by itself, and one that cannot even be looked at keeps no other one
waiting. A staging directory that was replaced is opened again; one that is missing or unsafe gives
no names. Files that are no requests are reported after a minute. Leaves out: opening files.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.spool.submission import RESULT, SIGNATURE, label
from provisioner.spool.turns import Turns
from provisioner.system import entry
from provisioner.system.ownership import check_directory, check_same_device

log = logging.getLogger(__name__)

ENDINGS = (".yaml", ".yml", ".json")

_NAMED = 5
"""The most names that one line has."""

_STRAYS = 1000
"""The most files that are not requests which are remembered: anybody may put more there."""

_TOLD = 20
"""The most files that cannot be taken which are logged within a minute."""

_SETTLED = 60.0
"""Seconds after which a name no longer belongs to a file that a program is still writing."""

_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FEW = 1000
"""The most names in turns with which staging is listed each time."""

_SELDOM = 20
"""A large backlog is listed again after this many times the duration of the last listing."""

_AT_ONCE = 20_000
"""The most names that are looked at, and sorted, at once: the first of 100,000 comes soon."""

_LONGEST_DELAY = 0.25
_FAILED, _DENIED = 1.0, 60.0
"""Seconds before another look at a file: the disk failed; the service has no permission."""


def check_staging(spool: Path) -> None:
    """Check staging as the sweep does, from another process than the service.

    Raises ConfigError with the reason why nothing is taken from it.
    """
    staging, active = spool / "staging", spool / "active"
    status = _look(staging)
    check_directory(staging, status, door=True, owner=spool.stat().st_uid)
    if active.is_dir():
        check_same_device(staging, status, active.stat())


def passed_over(spool: Path) -> list[str]:
    """List files in staging that are not taken under their names, whatever they were meant for.

    A file written within the last minute may still get another name, or its request. Raises OSError
    if staging cannot be read.
    """
    before = time.time() - _SETTLED
    looked = _looked_at(spool, _is_stray)
    return sorted(label(name) for name, there in looked if there and there.st_mtime < before)


def covered(spool: Path) -> list[str]:
    """List what cannot be looked at in staging, as something is mounted on it.

    Raises OSError if staging cannot be read.
    """
    return sorted(label(name) for name, there in _looked_at(spool, bool) if there is None)


def _looked_at(
    spool: Path, is_wanted: Callable[[str], bool]
) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield some names in staging, each with its status, or None if it cannot be looked at."""
    directory = os.open(spool / "staging", _LISTING)
    try:
        for name in filter(is_wanted, os.listdir(directory)):  # noqa: PTH208 - a descriptor
            try:
                yield name, entry.look(directory, name)
            except FileNotFoundError:
                continue
            except OSError:
                yield name, None
    finally:
        os.close(directory)


def never_taken(names: Sequence[str]) -> str:
    """Return a line that names files that the service will never take, with the reason."""
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    results = any(name.endswith(RESULT) for name in names)
    but = f" and not in {RESULT}, as a result's does" if results else ""
    return (
        f"never taken from staging because of their names: {', '.join(names[:_NAMED])}{more}. A "
        f"request's file name must end in .yaml, .yml or .json, in lower case{but}"
    )


def _is_stray(name: str) -> bool:
    """Return True for a name that is no request's, nor a signature's beside one."""
    if is_request(name) or name[0] == ".":
        return False
    return not (name.endswith(SIGNATURE) and is_request(name.removesuffix(SIGNATURE)))


class Strays:
    """Files that no request is: logs each once, when it has been there for a minute."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._logged: set[str] = set()
        self._again = 0.0

    def saw(self, names: Collection[str], now: float) -> None:
        """Note what is in staging, and log what is new, at most one line a minute.

        names: at most `_STRAYS` of them; now: seconds of a clock that does not jump.
        """
        if not names and not self._since:
            return
        self._since = {name: self._since.get(name, now) for name in names}
        self._logged &= self._since.keys()
        if now < self._again:
            return
        settled = {name for name, since in self._since.items() if now - since >= _SETTLED}
        if new := sorted(settled - self._logged):
            self._logged |= set(new)
            self._again = now + _SETTLED
            log.warning("%s", never_taken([label(name) for name in new]))


class Failures:
    """Files that cannot be taken: a person who may drop files may make any number of these.

    Some are logged in each minute, and the rest is counted.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._logged = 0
        self._more = 0

    def saw(self, name: str, why: str, now: float) -> None:
        """Log why a file cannot be taken, unless many were logged within a minute. now: seconds of
        a clock that does not jump."""
        if now >= self._until:
            if self._more:
                log.error("%d more could not be taken from staging within a minute", self._more)
            self._until, self._logged, self._more = now + _SETTLED, 0, 0
        if self._logged == _TOLD:
            self._more += 1
            return
        self._logged += 1
        log.error("%s cannot be taken from staging: %s", label(name), why)


def is_request(name: str) -> bool:
    """Return True if a name in staging is taken as a request's. A result beside one is not."""
    return name.endswith(ENDINGS) and name[0] != "." and not name.endswith(RESULT)


def _look(staging: Path) -> os.stat_result:
    try:
        return staging.lstat()
    except OSError as error:
        raise ConfigError(f"{staging}: {error.strerror}", advice="provisioner init") from None


class Sweep:
    """Names in staging, for one thread."""

    def __init__(self, staging: Path, directory: int, reopen: Callable[[], int]) -> None:
        """directory: descriptor of staging, which keeps its number if staging is replaced;
        reopen: opens staging again, raising ConfigError if it is not safe.
        """
        self._staging = staging
        self._directory = directory
        self._reopen = reopen
        self._turns = Turns()
        self._listed: list[tuple[int, str]] = []
        self._list_again = 0.0
        self._later: dict[str, tuple[float, float]] = {}
        self._strays = Strays()
        self._failures = Failures()
        self.trouble = ""
        """Why no names come, with the command that fixes it; '' if all is well."""

    def names(self, limit: int) -> list[str]:
        """Return the next names, at most `limit`, by turns between the owners of the files.

        Return none if all were given and nothing is new.
        """
        few = len(self._turns) <= _FEW
        if few or self._listed or time.monotonic() >= self._list_again:
            self._sweep()
        while self._listed and not self._turns:  # everything that was looked at is gone
            self._sweep()
        return self._turns.take(limit)

    def postpone(self, name: str, seconds: float) -> None:
        """Pass over a name for a while, twice as long each time in a row, up to 0.25 s or to
        `seconds` if that is more.
        """
        _, delay = self._later.get(name, (0.0, 0.0))
        delay = max(seconds, min(delay * 2, _LONGEST_DELAY))
        self._later[name] = (time.monotonic() + delay, delay)

    def pass_over(self, name: str, error: OSError) -> None:
        """Log why a name cannot be taken, and pass over it for a second; for a minute if the
        service may not."""
        denied = error.errno in {errno.EACCES, errno.EPERM, errno.EXDEV}
        self._failures.saw(name, error.strerror or str(error), time.monotonic())
        self.postpone(name, _DENIED if denied else _FAILED)

    def settle(self, name: str) -> None:
        """Forget that a name was passed over."""
        if self._later:
            self._later.pop(name, None)

    def due_in(self) -> float | None:
        """Return the seconds until a name that was passed over is due; None if there is none."""
        if not self._later:
            return None
        return max(0.0, min(when for when, _ in self._later.values()) - time.monotonic())

    def _sweep(self) -> None:
        """List what is new in staging; if that is impossible, record why, and give nothing."""
        try:
            if not self._listed:
                self._renew()
                self._listed = self._list()
            portion, self._listed = self._listed[:_AT_ONCE], self._listed[_AT_ONCE:]
            self._turns.add(self._owned(portion))
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
        # dup2 keeps the number, so that no other thread has a closed descriptor.
        os.dup2(fresh, self._directory, inheritable=False)
        os.close(fresh)

    def _list(self) -> list[tuple[int, str]]:
        """List what may be taken now and was not listed before: inodes and names."""
        now = time.monotonic()
        listed: list[tuple[int, str]] = []
        present: set[str] = set()
        strays: set[str] = set()
        # This needs a descriptor of its own: a duplicate would share the position.
        directory = os.open(".", _LISTING, dir_fd=self._directory)
        try:
            with os.scandir(directory) as entries:
                for found in entries:
                    name = found.name
                    if name in self._turns:  # most of a large backlog is, at each listing
                        if self._later:
                            present.add(name)
                        continue
                    if not is_request(name):
                        if len(strays) < _STRAYS and _is_stray(name):
                            strays.add(name)
                        continue
                    if self._later:
                        present.add(name)
                        if name in self._later and self._later[name][0] > now:
                            continue
                    listed.append((found.inode(), name))
            for name in self._later.keys() - present:
                del self._later[name]
            self._strays.saw(strays, now)
        finally:
            os.close(directory)
        listed.sort()
        ended = time.monotonic()
        self._list_again = ended + _SELDOM * (ended - now)
        return listed

    def _owned(self, listed: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
        """Return owner, arrival and name for inodes and names, in the order of arrival."""
        owned = []
        for _, name in listed:
            try:
                there = entry.look(self._directory, name)
            except FileNotFoundError:
                continue
            except OSError as error:
                if entry.is_of_process(error):
                    raise
                self.pass_over(name, error)
                continue
            owned.append((there.st_uid, there.st_mtime_ns, name))
        owned.sort(key=lambda file: file[1:])
        return owned
