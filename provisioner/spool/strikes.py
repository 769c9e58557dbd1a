"""Strikes: files and manifests that the service died of, so that they do not stop it for ever.

Promises: the next start knows what was being judged when the service ended: files that were taken
and are in no journal, and the recorded place in a manifest. A death counts against a file that was
judged alone, and against a manifest at whose same place it happened again; it does not count if the
service was asked to stop. After two deaths there is a rest before the next try, twice as long each
time, so that kills for another reason do not always meet the same file. Nothing is flushed: a power
cut loses a strike, and is not one itself. Leaves out: what happens after too many strikes
(`filing`, `portions`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from provisioner.system import entry
from provisioner.system.ulid import RequestId

MOST = 4
"""The strikes after which a file or a manifest is set aside. A quick death of a file is one strike.
A death after half a minute of judging, such as by the watchdog, is two."""

LONG = 30.0
"""Seconds of judging after which a death counts twice against a file."""

REST = 60.0
"""Seconds of rest after two strikes."""

NEAR = 500
"""Two deaths within this many lines of a manifest are at one place: a portion can end anywhere."""

FOLLOWED = -1
"""The place in a manifest that was fully compared, and is being followed."""

_FILE = ".strikes"
_NOTE = ".judging"
_PLACES = ".judging-deaths"
_STOP = ".stopping"


def rest(count: int) -> float:
    """Return the seconds of rest after a number of strikes."""
    return REST * 2 ** (count - 2) if count >= 2 else 0.0


class Strikes:
    """The strikes of one spool."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._now: dict[str, int] = {}
        self.suspects: set[str] = set()
        """Names in staging that must each be judged alone."""
        self.look()

    def look(self) -> None:
        """Read what was kept: who goes on with the files may have begun long ago."""
        self._before = self._read(_FILE)
        self._stop_requested = (self._spool / _STOP).exists()

    def stopping(self) -> None:
        """Record that the service was asked to stop: a kill from now on is only haste."""
        self._write(_STOP, {})

    def strike(self, status: os.stat_result, lasted: float, *, alone: bool) -> int:
        """Count a death of the service against a file; return the file's strikes.

        status: that of the file in `active`; lasted: seconds since it was taken; alone: nothing
        else was being judged.
        """
        identity = _identity(status)
        count: int = self._before.get(identity, 0)
        if alone and not self._stop_requested:
            count += 2 if lasted > LONG else 1
        self._now[identity] = count
        return count

    def keep(self) -> None:
        """Save the strikes of this start and of files that rest in staging, and no others."""
        if self._before:
            with suppress(OSError):
                self._keep_those_in_staging()
        if self._now or self._before:
            self._write(_FILE, self._now)
        with suppress(OSError):
            (self._spool / _STOP).unlink(missing_ok=True)

    def _keep_those_in_staging(self) -> None:
        directory = os.open(self._spool / "staging", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(directory):  # noqa: PTH208 - a descriptor
                with suppress(OSError):
                    identity = _identity(entry.look(directory, name))
                    if identity in self._before:
                        self._now.setdefault(identity, self._before[identity])
        finally:
            os.close(directory)

    def note(self, request: RequestId, place: int) -> None:
        """Record the line of a manifest at which a portion begins next, or `FOLLOWED`."""
        self._write(_NOTE, {request: place})

    def clear(self) -> None:
        """Record that no manifest is being judged."""
        self._write(_NOTE, {})

    def deaths(self) -> dict[RequestId, int]:
        """Count the death at the recorded place; return the deaths of each manifest at its place.

        The start calls this once.
        """
        noted = {} if self._stop_requested else self._read(_NOTE)
        counted = self._read(_PLACES)
        # Reading it clears it: a start that dies before it judges anything adds no death.
        self.clear()
        for request, place in noted.items():
            count, before = counted.get(request, (0, place))
            near = before == place or (min(before, place) >= 0 and abs(before - place) <= NEAR)
            counted[request] = (count + 1 if near else 1, place)
        self._write(_PLACES, counted)
        return {RequestId(request): count for request, (count, _) in counted.items()}

    def forget(self, request: RequestId) -> None:
        """Forget the deaths of a manifest, because it is over."""
        counted = self._read(_PLACES)
        if counted.pop(request, None) is not None:
            self._write(_PLACES, counted)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            strikes = json.loads((self._spool / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return strikes if isinstance(strikes, dict) else {}

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        # A full or read-only disk is reported elsewhere, and loses one strike at most.
        with suppress(OSError):
            path = self._spool / name
            path.touch(0o600)
            path.write_text(json.dumps(value))


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}"
