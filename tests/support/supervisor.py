"""A supervisor: runs a program again when systemd would, by the rules of a unit.

usage: python -m tests.support.supervisor UNIT SCALE PROGRAM [ARGUMENT...]

Promises: `Restart=on-failure`, `RestartPreventExitStatus` and `RestartSec` are the unit's; the last
is multiplied by SCALE, for sites whose leases are shorter, too. A SIGTERM goes to the program, and
nothing runs after it. It says on standard error how each run ended. Leaves out: all else that a
unit says, and how often it may start.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

AGAIN, OVER = "supervisor: starts again after", "supervisor: stays down after"

_CLEAN = {-signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE, 0}
"""Ends that systemd takes for no failure (systemd.service(5), SuccessExitStatus)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a unit says. pause: seconds before the next start; never: statuses that end it."""

    restarts: bool
    pause: float
    never: frozenset[int]

    def again(self, status: int) -> bool:
        """Return True if a program that ended is to be started again. status: as of `Popen`."""
        return self.restarts and status not in _CLEAN and status not in self.never


def rules(unit: str) -> Rules:
    """Read a unit."""
    said = dict(line.split("=", 1) for line in unit.splitlines() if line[:1].isalpha())
    never = frozenset(map(int, said.get("RestartPreventExitStatus", "").split()))
    return Rules(said.get("Restart") == "on-failure", float(said.get("RestartSec", 0.1)), never)


def supervise(words: Sequence[str], by: Rules) -> None:
    """Run a program as long as the rules start it again, and no SIGTERM comes."""
    stopping = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def stop(*_: object) -> None:
        stopping.set()
        for each in running:
            each.terminate()

    signal.signal(signal.SIGTERM, stop)
    while not stopping.is_set():
        running[:] = [process] = [subprocess.Popen(words)]
        if stopping.is_set():
            process.terminate()
        status = process.wait()
        again = by.again(status) and not stopping.is_set()
        print(AGAIN if again else OVER, status, file=sys.stderr, flush=True)
        if not again or stopping.wait(by.pause):
            return


if __name__ == "__main__":
    _, unit, scale, *program = sys.argv
    found = rules(Path(unit).read_text())
    supervise(program, Rules(found.restarts, found.pause * float(scale), found.never))
