"""What a service takes of memory and of a processor: with many waiting, after many, and idle.

The service is a process of its own, whose handler does nothing. Memory is the largest that was
resident (VmHWM), in MiB.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from provisioner.inspection import drift
from provisioner.journal.records import request_rows
from provisioner.service import Service
from provisioner.spool.spool import Spool
from tests.bench.apart import apart
from tests.bench.drops import running
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.bench.requests import fill, site

WAITING = 100_000
BURST = 5_000
"""Requests that wait together; four of them are 20,000."""
QUIET = "drift: {others: 0}\n"
"""No look for drift by itself: it would come after a minute, whatever is done then."""
IDLE = 60.0
"""Seconds that a service is looked at with nothing to do."""
WAKES = "import time\nwhile True: time.sleep(1)"


def serve(top: Path, ask: Connection) -> None:
    """Serve, and answer each question when it is so: accepted or done, how many requests; or, when
    it is over, the question for a look at all objects, as the service looks for drift."""
    system, spool = site(top, QUIET)
    service = Service(system, spool)
    with running(service):
        ask.send("started")
        while (question := ask.recv()) is not None:
            state, number = question
            if state == "looked":
                assert drift.known(system).nothing
            while not so(service, state, number):
                time.sleep(0.2)
            ask.send("so")


def so(service: Service, state: str, number: int) -> bool:
    """Return True if so many requests are accepted, or are done and filed."""
    with service._journal.reading() as conn:
        counts = request_rows.counts(conn)
    if state == "accepted":
        return sum(counts.values()) >= number
    return counts.get("done", 0) >= number and not service.clerk.busy


class Served:
    """A service in a process of its own. filled: how many requests it was given."""

    def __init__(self, pid: int, top: Path, ask: Connection, filled: int) -> None:
        self.pid, self._top, self._ask, self._filled = pid, top, ask, filled

    def fill(self, number: int, users: int | None = None) -> None:
        """Drop more requests. users: how many they are about; a new one each if None."""
        fill(self._top / "spool/staging", number, self._filled, users)
        self._filled += number

    def until(self, state: str) -> None:
        """Return when all that it was given are accepted, or done, or these objects looked at.

        state: one of these words.
        """
        self._ask.send((state, self._filled))
        self._ask.recv()

    def peak(self) -> float:
        """Return the most memory that was resident, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextmanager
def served(place: Path, waiting: int = 0) -> Iterator[Served]:
    """Start a service, with requests waiting. It has begun to serve."""
    with fresh(place) as top:
        Spool.create(top / "spool").close()
        fill(top / "spool/staging", waiting)
        with apart(serve, top) as (pid, ask):
            yield Served(pid, top, ask, waiting)


def with_many(setting: Setting) -> Iterator[Run]:
    """Yield the peak with many requests waiting, beside that of a service that has none."""
    while True:
        with served(setting.top) as one:
            time.sleep(1)
            floor = one.peak()
        with served(setting.top, setting.size(WAITING)) as one:
            one.until("accepted")
            yield Run(one.peak(), floor)


def after_many(setting: Setting) -> Iterator[Run]:
    """Yield the peak after four bursts about the same users, beside that after the first."""
    burst = setting.size(BURST)
    while True:
        with served(setting.top, burst) as one:
            one.until("done")
            floor = one.peak()
            for _ in range(3):
                one.fill(burst, users=burst)
                one.until("done")
            yield Run(one.peak(), floor)


def with_look(setting: Setting) -> Iterator[Run]:
    """Yield the peak after a look at all that four bursts made, beside that before it."""
    burst = setting.size(BURST)
    while True:
        with served(setting.top) as one:
            for _ in range(4):
                one.fill(burst)
                one.until("done")
            floor = one.peak()
            one.until("looked")
            yield Run(one.peak(), floor)


def busy(pid: int) -> float:
    """Return the seconds of a processor that a process has had: all its threads.

    Source: /proc/PID/task/TID/schedstat, nanoseconds first (Linux, sched-stats).
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def share(pid: int, seconds: float) -> float:
    """Return the share of a core that a process takes, in percent."""
    before = busy(pid)
    time.sleep(seconds)
    return (busy(pid) - before) / seconds * 100


def idle(setting: Setting) -> Iterator[Run]:
    """Yield the share of a core of a service that has nothing to do, and of the floor."""
    seconds = IDLE * setting.scale
    while True:
        with served(setting.top, 1000) as one, subprocess.Popen([sys.executable, "-c", WAKES]) as w:
            one.until("done")
            time.sleep(2)
            taken, floor = share(one.pid, seconds), share(w.pid, seconds)
            w.kill()
        yield Run(taken, floor)


FIGURES = (
    Figure(
        "memory-waiting",
        "the most memory of a service that starts with 100,000 requests waiting, until it has "
        "accepted the last",
        "a service with none",
        "MiB",
        with_many,
    ),
    Figure(
        "memory-done",
        "the most memory after 20,000 requests about 5,000 users, of which 5,000 waited at a time",
        "the same service after the first 5,000",
        "MiB",
        after_many,
        (Aim("ratio", 1.05, most=True),),
    ),
    Figure(
        "memory-look",
        "the most memory after 20,000 requests about 20,000 users and a look for drift at them",
        "the same service before the look",
        "MiB",
        with_look,
    ),
    Figure(
        "idle",
        "a service with nothing to do, for a minute, after 1,000 requests, no look for drift in it",
        "a Python that wakes once a second",
        "% of a core",
        idle,
        (Aim("value", 0.2, most=True),),
    ),
)
