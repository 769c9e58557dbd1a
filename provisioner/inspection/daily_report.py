"""The daily report: says each day, while the service only observes, what it would have done.

Promises: a line in the log and a file in the spool's `drift/`, newest by name last, whole or not
there; reports of two months are kept. Leaves out: what differs (`drift`), and mending.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from provisioner.inspection import drift
from provisioner.journal import facts
from provisioner.wiring import System

log = logging.getLogger(__name__)

PLACE = "drift"
"""The directory of the reports, in the spool."""

KEPT = 60
"""Reports that are kept."""

_DAY = 86400.0
_LOOK = 60.0
"""Seconds between looks whether a report is due, and until the first: lanes go first."""


_LAST = 5.0


class Reporter:
    """Works in a thread of its own between `start` and `stop`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._directory = system.config.spool / PLACE
        self._stopping = threading.Event()
        # Backends may take long to answer, and nothing is lost with a report that is begun.
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End; a report that is under way is waited for a few seconds."""
        self._stopping.set()
        self._thread.join(_LAST)

    def report(self, now: float | None = None) -> Path | None:
        """Write a report; None: what is wanted is written to the backends, or there was no room."""
        with self._system.journal.reading() as conn:
            why = facts.get(conn, facts.OBSERVING)
        if why is None:
            return None
        found = drift.whole(self._system)
        now = time.time() if now is None else now
        at = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(now))
        text = "".join(f"{line}\n" for line in (f"{at}: {why}", *drift.lines(found)))
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path, made = self._directory / f"{at}.txt", self._directory / f".{at}.partial"
        made.write_text(text, encoding="utf-8", errors="backslashreplace")
        made.chmod(0o600)
        os.utime(made, (now, now))
        made.replace(path)
        for old in self._reports()[:-KEPT]:
            old.unlink(missing_ok=True)
        log.warning("observing: %s: %s", drift.told(found), path)
        return path

    def due(self, now: float) -> bool:
        """Return True if the newest report is a day old, or there is none."""
        newest = self._reports()[-1:]
        return not newest or not 0 <= now - newest[0].stat().st_mtime < _DAY

    def _reports(self) -> list[Path]:
        return sorted(self._directory.glob("*.txt"))

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK):
            try:
                if self.due(time.time()):
                    self.report()
            except Exception:
                log.exception("the drift could not be reported; trying again in an hour")
                if self._stopping.wait(3600.0):
                    return
