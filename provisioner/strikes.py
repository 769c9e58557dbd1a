"""Strikes: what made the service die while it was judged, so that it is not the first for ever.

Promises: what was being judged when the service ended is known at the next start: files that were
taken and that no journal has, and the portion of a manifest that was noted. What came back so once
is judged by itself, and a death while that is done counts against it alone. Nothing is flushed: a
power cut forgets a strike, and is none. Leaves out: what becomes of what has too many (`finish`,
`portions`).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

MOST = 3
"""Strikes with which a file is set aside. A quick death is one: a kill that hits it by chance does
not come three times; one after half a minute of judging, as by the watchdog, is two."""

LONG = 30.0
"""Seconds of judging after which a death counts twice."""

_FILE = ".strikes"
_NOTE = ".judging"


class Strikes:
    """The strikes of one spool."""

    def __init__(self, spool: Path) -> None:
        """spool: the directory above `staging`, in which nobody else writes."""
        self._spool = spool
        self._before = self._read(_FILE)
        self._now: dict[str, int] = {}
        self.suspects: set[str] = set()
        """Names in staging that are to be judged each by itself."""

    def strike(self, found: os.stat_result, lasted: float) -> bool:
        """Count the death of the service against a file; say whether it has too many.

        found: the file as it lies in `active`; lasted: seconds from its claim until now.
        """
        who = f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}"
        count = self._before.get(who, 0) + (2 if lasted > LONG else 1)
        self._now[who] = count
        return count >= MOST

    def keep(self) -> None:
        """Remember the strikes of this start, and those alone."""
        if self._now or self._before:
            self._write(_FILE, self._now)

    def note(self, request: str, portion: int) -> None:
        """Say that a portion of a manifest is judged next."""
        self._write(_NOTE, {request: portion})

    def clear(self) -> None:
        """Say that no manifest is judged."""
        self._write(_NOTE, {})

    def stuck(self) -> str | None:
        """Return the request in whose manifest the service died at the same portion as before."""
        noted, before = self._read(_NOTE), self._read(f"{_NOTE}-before")
        # Once read it is over: a start that dies before it judges anything adds none.
        self.clear()
        self._write(f"{_NOTE}-before", noted)
        return next(iter(noted)) if noted and noted == before else None

    def _read(self, name: str) -> dict[str, int]:
        try:
            found = json.loads((self._spool / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, name: str, value: dict[str, int]) -> None:
        # A disk that is full or read-only is told elsewhere, and costs a strike at most.
        with suppress(OSError):
            path = self._spool / name
            path.touch(0o600)
            path.write_text(json.dumps(value))
