"""Reports by schedule: what the service would do, while it only observes; what waits too long.

Promises: of the first a line in the log, and a complete file in the spool's `drift/` or none;
sorted by name, the newest file is last; the reports of two months are kept. Of the second a line in
the log each day for each request that has waited for more than a day, and for what; of very many
only the oldest. Its thread also walks the rounds. Leaves out: what differs (`drift`, `rounds`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provisioner.convergence import threads
from provisioner.inspection import drift
from provisioner.inspection.rounds import Rounds
from provisioner.journal import facts
from provisioner.journal.records import request_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.objects.states import RUNNING
from provisioner.system.ulid import RequestId
from provisioner.wiring import System

log = logging.getLogger(__name__)

PLACE = "drift"
"""The directory of the reports, in the spool."""

KEPT = 60
"""The number of reports that are kept."""

MOST = 20
"""The most requests that one look logs; the others are logged at the next."""

_DAY = 86400.0


class Reporter:
    """Writes reports in its own thread, between `start` and `stop`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._directory = system.config.spool / PLACE
        self._told: dict[RequestId, float] = {}
        self.rounds = Rounds(system)
        failed = "failed to write the reports"
        self._thread = threads.EveryMinute("reporter", self._look, failed)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._thread.stop()

    def report(self, now: float | None = None) -> Path | None:
        """Write a report and return its path; None if the service does not only observe."""
        with self._system.journal.reading() as conn:
            why = facts.get(conn, facts.OBSERVING)
        if why is None:
            return None
        drifted = drift.whole(self._system)
        now = time.time() if now is None else now
        at = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(now))
        text = "".join(f"{line}\n" for line in (f"{at}: {why}", *drift.lines(drifted)))
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path, made = self._directory / f"{at}.txt", self._directory / f".{at}.partial"
        made.write_text(text, encoding="utf-8", errors="backslashreplace")
        made.chmod(0o600)
        os.utime(made, (now, now))
        made.replace(path)
        for old in self._reports()[:-KEPT]:
            old.unlink(missing_ok=True)
        log.warning("observing: %s: %s", drift.summary(drifted), path)
        return path

    def waits(self, now: float) -> None:
        """Log the requests that have waited for more than a day, each once a day.

        now: seconds since the epoch.
        """
        with self._system.journal.reading() as conn:
            late = request_rows.ids_in(conn, RUNNING, before=now - _DAY)
        self._told = {one: self._told.get(one, 0.0) for one in late}
        fresh = [one for one in late if now - self._told[one] >= _DAY][:MOST]
        for request in fresh:  # by itself: each can be long, and wait for very much
            with self._system.journal.reading() as conn:
                record = request_rows.load(conn, [request])[request]
                waiting = step_rows.waiting_for(conn, [request])[request]
            log.warning("%s", _waits(record, waiting, now))
        self._told |= dict.fromkeys(fresh, now)

    def due(self, now: float) -> bool:
        """Return True if the newest report is a day old, or there is none."""
        newest = self._reports()[-1:]
        return not newest or not 0 <= now - newest[0].stat().st_mtime < _DAY

    def _reports(self) -> list[Path]:
        return sorted(self._directory.glob("*.txt"))

    def _look(self) -> None:
        self.waits(time.time())
        if self.due(time.time()):
            self.report()
        self.rounds.walk(time.time())


def _waits(record: Record, waiting: Sequence[Mapping[str, Any]], now: float) -> str:
    """Return a line about a request that waits for too long, with the first of what it waits for.

    A backend's words must not add lines of their own to the log.
    """
    hours = int((now - record.accepted) // 3600)
    wrong = [row for row in waiting if row["error"]]
    first = next(iter([*wrong, *waiting]), None)
    why = "its turn"
    if first is not None:
        said = first["error"]["message"] if first["error"] else "its turn"
        why = f"{first['object']}: {said.removeprefix(str(first['object']) + ': ')}"
    more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    line = (
        f"{record.id} {record.action} {record.subject} of {record.asker} has waited for {hours} h "
        f"for {why}{more}: provisioner show {record.id}"
    )
    return "".join(one if one.isprintable() else " " for one in line)[:600]
