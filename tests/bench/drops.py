"""One request dropped into a service that waits: the writer's own call, and the time from the
rename in it to the commit that accepted the request.

The writer is another process.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from provisioner.admission.after_commit import Admitted
from provisioner.service import Service
from provisioner.spool import submit as writer
from provisioner.spool.spool import Submission
from provisioner.spool.submit import drop
from provisioner.spool.watch import Watcher
from tests.bench import floors
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.bench.requests import body, site

DROPS = 1000


@dataclass(frozen=True, slots=True)
class Dropped:
    """One drop, seen by its writer. Times in seconds of the monotonic clock."""

    name: str
    began: float
    renamed: float
    ended: float


def write(staging: Path, times: multiprocessing.Queue[Dropped], number: int) -> None:
    """Drop requests, and say of each when."""
    renamed = 0.0
    rename = writer.rename_new  # type: ignore[attr-defined]

    def timed(source_dir: int, source: str, target_dir: int, target: str) -> None:
        nonlocal renamed
        rename(source_dir, source, target_dir, target)
        renamed = time.monotonic()

    writer.rename_new = timed  # type: ignore[attr-defined]
    for n in range(number):
        began = time.monotonic()
        name = drop(staging, f"d{n}.yaml", body(n))
        times.put(Dropped(name, began, renamed, time.monotonic()))
        time.sleep(0.01)


def note_acceptance(service: Service, note: Callable[[list[Submission]], None]) -> None:
    """Have somebody told of files when the commit that accepted them is over."""
    admit = service.intake.admit

    def noted(submissions: list[Submission]) -> Iterator[Admitted]:
        for admitted in admit(submissions):
            note([one for one in submissions if one.ulid in admitted.taken])
            yield admitted

    service.intake.admit = noted  # type: ignore[method-assign,assignment]


@contextmanager
def running(service: Service) -> Iterator[None]:
    """Serve in another thread."""
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join()


def dropped(staging: Path, number: int) -> list[Dropped]:
    """Have another process drop requests, and return what it says of each."""
    context = multiprocessing.get_context("spawn")
    times: multiprocessing.Queue[Dropped] = context.Queue()
    time.sleep(0.5)
    process = context.Process(target=write, args=(staging, times, number))
    process.start()
    said = [times.get(timeout=60) for _ in range(number)]
    process.join()
    time.sleep(0.5)
    return said


def drops(top: Path, number: int) -> list[tuple[float, float]]:
    """Return for each drop the seconds of the writer's call, and those from the rename in it to the
    end of the commit."""
    system, spool = site(top)
    service = Service(system, spool)
    accepted: dict[str, float] = {}

    def note(submissions: list[Submission]) -> None:
        now = time.monotonic()
        accepted.update((one.name, now) for one in submissions)

    note_acceptance(service, note)
    with running(service):
        said = dropped(spool.staging, number)
    return [(each.ended - each.began, accepted[each.name] - each.renamed) for each in said]


def drops_alone(top: Path, number: int) -> list[float]:
    """Return the seconds from each rename to the end of a commit, where as many threads do no more.

    One hears of the file, and wakes the other, which lists the directory, renames and reads the
    file, and commits such rows, once more in a log that is flushed.
    """
    waiting, journal = floors.Waiting(top, 0), floors.database(top / "floor.db", floors.ACCEPTED)
    log = os.open(top / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    staging, woken, over = waiting.root / "staging", threading.Event(), threading.Event()
    accepted: dict[str, float] = {}

    def accept() -> None:
        while not over.is_set():
            woken.wait()
            woken.clear()
            names = [name for name in os.listdir(staging) if name[0] != "."]  # noqa: PTH208
            if names:
                waiting.take(names, "active")
                floors.insert(journal, floors.ACCEPTED, names, log)
                accepted.update(dict.fromkeys(names, time.monotonic()))

    watcher, thread = Watcher(staging, woken.set), threading.Thread(target=accept)
    thread.start()
    watcher.start()
    said = dropped(staging, number)
    over.set()
    watcher.stop()
    woken.set()
    thread.join()
    os.close(log)
    journal.close()
    return [accepted[each.name] - each.renamed for each in said]


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return what a share of some values is not above. share: from 0 up to, and without, 1."""
    return sorted(seconds)[int(len(seconds) * share)]


def acceptances(share: float, setting: Setting) -> Iterator[Run]:
    """Yield a percentile of the drops' acceptances, and of the floor, in milliseconds."""
    number = setting.size(DROPS)
    while True:
        with fresh(setting.top) as top:
            floor = percentile(drops_alone(top, number), share)
        with fresh(setting.top) as top:
            accepted = [seconds for _, seconds in drops(top, number)]
            yield Run(percentile(accepted, share) * 1000, floor * 1000)


def calls(setting: Setting) -> Iterator[Run]:
    """Yield the median of the writers' calls, and of the floor, in milliseconds."""
    number = setting.size(DROPS)
    while True:
        with fresh(setting.top) as top:
            floor = percentile(floors.write(top, number), 0.5)
        with fresh(setting.top) as top:
            written = [seconds for seconds, _ in drops(top, number)]
            yield Run(percentile(written, 0.5) * 1000, floor * 1000)


def figure(name: str, share: float, aim: float) -> Figure:
    """Return the figure of a percentile. aim: milliseconds, in memory."""
    return Figure(
        name,
        f"from the rename of a lone request to its acceptance, {share:.0%} of 1,000 drops",
        "a program of two threads that hears of, renames and reads a file, and commits such rows",
        "ms",
        partial(acceptances, share),
        (Aim("value", aim, most=True, where="memory"),),
    )


FIGURES = (
    figure("drop-p50", 0.5, 0.5),
    figure("drop-p99", 0.99, 1.5),
    Figure(
        "drop-write",
        "the writer's own call for a request, the median of 1,000 drops",
        "a program that writes, flushes and renames a file, and flushes its directory",
        "ms",
        calls,
    ),
)
