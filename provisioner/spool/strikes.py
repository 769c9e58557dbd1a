"""Strikes: what made the service die while it was judged, so that it is not the first for ever.

Promises: what was being judged when the service ended is known at the next start: files that were
taken and that no journal has, and the place in a manifest that was noted. A death counts against a
file that was judged by itself, and against a manifest that it met at one place again; not where the
service was asked to stop. What has died twice rests before it is tried again, each time for twice
as long: whoever kills the service for another reason does not do it each time just then. Nothing is
flushed: a power cut forgets a strike, and is none. Leaves out: what becomes of what has too many
(`filing`, `portions`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST = 4
"""Strikes with which a file or a manifest is set aside. A quick death of a file is one; one after
half a minute of judging, as by the watchdog, is two."""

LONG = 30.0
"""Seconds of judging after which the death of a file counts twice."""

REST = 60.0
"""Seconds for which rests what has two strikes."""

NEAR = 500
"""Lines of a manifest within which two deaths are at one place: a portion may end anywhere."""

FOLLOWED = -1
"""The place in a manifest that was compared whole, and that is followed."""

_FILE = ".strikes"
_NOTE = ".judging"
_PLACES = ".judging-deaths"
_STOP = ".stopping"


def rest(count: int) -> float:
    """Say for how many seconds something with so many strikes rests."""
    return REST * 2 ** (count - 2) if count >= 2 else 0.0


class Strikes:
    """The strikes of one spool."""

    def __init__(self, spool: Path) -> None:
        """spool: the directory above `staging`, in which nobody else writes."""
        self._spool = spool
        self._before = self._read(_FILE)
        self._now: dict[str, int] = {}
        self._asked = (spool / _STOP).exists()
        self.suspects: set[str] = set()
        """Names in staging that are to be judged each by itself."""

    def stopping(self) -> None:
        """Say that the service was asked to stop: who kills it now is in a hurry."""
        self._write(_STOP, {})

    def strike(self, status: os.stat_result, lasted: float, *, alone: bool) -> int:
        """Count the death of the service against a file; return how many strikes it has.

        status: the file as it lies in `active`; lasted: seconds since it was taken; alone:
        nothing else was being judged.
        """
        identity = _identity(status)
        count: int = self._before.get(identity, 0)
        if alone and not self._asked:
            count += 2 if lasted > LONG else 1
        self._now[identity] = count
        return count

    def keep(self) -> None:
        """Remember the strikes of this start, and of what rests in staging; those alone."""
        if self._before:
            with suppress(OSError), os.scandir(self._spool / "staging") as entries:
                for entry in entries:
                    with suppress(OSError):
                        identity = _identity(entry.stat(follow_symlinks=False))
                        if identity in self._before:
                            self._now.setdefault(identity, self._before[identity])
        if self._now or self._before:
            self._write(_FILE, self._now)
        with suppress(OSError):
            (self._spool / _STOP).unlink(missing_ok=True)

    def note(self, request: str, place: int) -> None:
        """Say at which line of a manifest a portion begins next, or `FOLLOWED`."""
        self._write(_NOTE, {request: place})

    def clear(self) -> None:
        """Say that no manifest is judged."""
        self._write(_NOTE, {})

    def deaths(self) -> dict[str, int]:
        """Count the death at the place that was noted; say how many each manifest has had at its.

        To be called once, at the start.
        """
        noted = {} if self._asked else self._read(_NOTE)
        counted = self._read(_PLACES)
        # Once read it is over: a start that dies before it judges anything adds none.
        self.clear()
        for request, place in noted.items():
            count, before = counted.get(request, (0, place))
            near = before == place or (min(before, place) >= 0 and abs(before - place) <= NEAR)
            counted[request] = (count + 1 if near else 1, place)
        self._write(_PLACES, counted)
        return {request: count for request, (count, _) in counted.items()}

    def forget(self, request: str) -> None:
        """Forget the deaths at a manifest: it is over."""
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
        # A disk that is full or read-only is told elsewhere, and costs a strike at most.
        with suppress(OSError):
            path = self._spool / name
            path.touch(0o600)
            path.write_text(json.dumps(value))


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}"
