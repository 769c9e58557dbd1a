"""Requests a second through the engine, with and without result files, and beside two files alone.

The handler does nothing; all else is the service's own, and all of it is on: policy, the chain of
events, receipts, and the redo log beside the journal, with both flushed at each commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from provisioner.service import Service
from tests.bench import floors
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.floors import Clock
from tests.bench.place import fresh
from tests.bench.requests import fill, site

REQUESTS = 20_000


def throughput(top: Path, number: int, clock: Clock, *, write_results: bool) -> float:
    """Return requests a second, from the first look into a full staging to the last file moved.

    clock: tells the seconds.
    """
    system, spool = site(top)
    fill(spool.staging, number)
    service = Service(system, spool, write_results=write_results)
    began = clock()
    service.drain(60)
    took = clock() - began
    done = sum(1 for _ in (top / "spool/done").glob("*.yaml"))
    expected = number * (2 if write_results else 1)
    if done != expected:
        raise SystemExit(f"{done} files in done/, expected {expected}")
    return number / took


Rate = Callable[[Path, int, Clock], float]


def rates(clock: Clock, rate: Rate, floor: Rate, setting: Setting) -> Iterator[Run]:
    """Yield requests a second of the engine, and of a floor, in turn. clock: tells the seconds."""
    number = setting.size(REQUESTS)
    while True:
        with fresh(setting.top) as top:
            beside = floor(top, number, clock)
        with fresh(setting.top) as top:
            yield Run(rate(top, number, clock), beside)


WITH = partial(throughput, write_results=True)
WITHOUT = partial(throughput, write_results=False)
GAIN = Aim("gain", 3.0, most=False, where="memory")

FIGURES = (
    Figure(
        "engine-results",
        "20,000 requests of which nothing is to be done, with result and receipt",
        "a program that renames the same files, inserts such rows, and creates two files for each",
        "requests/s",
        partial(rates, time.perf_counter, WITH, partial(floors.engine, files=True)),
        (GAIN,),
    ),
    Figure(
        "engine",
        "the same without results and receipts",
        "a program that renames the same files and inserts such rows",
        "requests/s",
        partial(rates, time.perf_counter, WITHOUT, partial(floors.engine, files=False)),
        (GAIN,),
    ),
    Figure(
        "engine-processor",
        "20,000 requests of which nothing is to be done, with result and receipt, by the seconds "
        "that a processor computes for them",
        "the program of engine-results",
        "requests/s",
        partial(rates, time.process_time, WITH, partial(floors.engine, files=True)),
    ),
    Figure(
        "engine-files",
        "20,000 requests of which nothing is to be done, with result and receipt",
        "no more than two new files for each",
        "requests/s",
        partial(rates, time.perf_counter, WITH, floors.two_files),
        (Aim("ratio", 0.9, most=False, where="disk"),),
    ),
)
