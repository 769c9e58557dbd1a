"""Requests a second through the engine, drop to durable acceptance, a backlog, and an idle service.

Run: python -m tests.bench.engine [--requests N] [--drops N] [--backlog N] [--idle SECONDS]. The
handler does nothing; all else is the service's own, on the disk of the temporary directory, and all
of it is on: policy, the chain of events, receipts, and the redo log beside the journal, with both
flushed at each commit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

from provisioner.admission.acceptance import Admitted
from provisioner.config import schema as configuration
from provisioner.routing.router import Router
from provisioner.service import Service
from provisioner.spool import submit as writer
from provisioner.spool.spool import Spool, Submission
from provisioner.spool.submit import drop
from provisioner.wiring import System
from tests.bench.nothing import Nothing

CONFIG = """\
service: bench
spool: spool
journal: journal.db
handlers:
  nothing: {use: nothing}
routes:
  user.provision:
    - {name: thing, handler: nothing, with: {name: "{{ user.name }}"}}
"""


def site(root: Path) -> tuple[System, Spool]:
    """Make a site with one handler that does nothing."""
    path = root / "provisioner.yaml"
    path.write_text(CONFIG)
    config = configuration.load(path)
    handlers = {"nothing": Nothing()}
    kinds = {"nothing": "nothing"}
    Spool.create(config.spool)
    return System(config, handlers, kinds, Router(config, handlers, kinds)), Spool.open(
        config.spool
    )


def body(number: int) -> bytes:
    """Make one small request."""
    return (
        f"provisioner: 1\naction: user.provision\nid: bench-{number}\n"
        f"user:\n  name: u{number}\n  full_name: User {number}\n"
    ).encode()


def fill(staging: Path, number: int) -> None:
    """Put requests into staging, as if they had waited there."""
    for n in range(number):
        path = staging / f"r{n:06}.yaml"
        path.write_bytes(body(n))
        path.chmod(0o600)


def throughput(number: int, *, write_results: bool) -> float:
    """Return requests a second, from the first look into a full staging to the last file moved."""
    with tempfile.TemporaryDirectory() as where:
        system, spool = site(Path(where))
        fill(spool.staging, number)
        service = Service(system, spool, write_results=write_results)
        began = time.perf_counter()
        service.drain(60)
        took = time.perf_counter() - began
        done = len(list((Path(where) / "spool/done").glob("*.yaml")))
        expected = number * (2 if write_results else 1)
        if done != expected:
            raise SystemExit(f"{done} files in done/, expected {expected}")
        return number / took


@dataclass(frozen=True)
class Dropped:
    """One drop, seen by its writer. Times in seconds of the monotonic clock."""

    name: str
    began: float
    renamed: float
    ended: float


def _write(staging: Path, times: multiprocessing.Queue[Dropped], number: int) -> None:
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


def _note_acceptance(service: Service, note: Callable[[list[Submission]], None]) -> None:
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


def latency(number: int) -> list[tuple[float, float, float]]:
    """Return for each drop the seconds from its begin to the end of the commit that accepted it,
    those that the writer's call took, and those from the rename to the end of that commit.
    """
    with tempfile.TemporaryDirectory() as where:
        system, spool = site(Path(where))
        service = Service(system, spool)
        accepted: dict[str, float] = {}

        def note(submissions: list[Submission]) -> None:
            now = time.monotonic()
            accepted.update((one.name, now) for one in submissions)

        _note_acceptance(service, note)
        context = multiprocessing.get_context("spawn")
        times: multiprocessing.Queue[Dropped] = context.Queue()
        with running(service):
            time.sleep(0.5)
            process = context.Process(target=_write, args=(spool.staging, times, number))
            process.start()
            drops = [times.get(timeout=60) for _ in range(number)]
            process.join()
            time.sleep(0.5)
        return [
            (accepted[d.name] - d.began, d.ended - d.began, accepted[d.name] - d.renamed)
            for d in drops
        ]


def backlog(number: int) -> tuple[float, float]:
    """Return the seconds from the start of a service to the first acceptance and to the last, with
    files waiting.
    """
    with tempfile.TemporaryDirectory() as where:
        system, spool = site(Path(where))
        fill(spool.staging, number)
        service = Service(system, spool)
        first, left, over = 0.0, number, threading.Event()

        def note(submissions: list[Submission]) -> None:
            nonlocal first, left
            first = first or time.monotonic()
            left -= len(submissions)
            if not left:
                over.set()

        _note_acceptance(service, note)
        began = time.monotonic()
        with running(service):
            over.wait()
            last = time.monotonic()
        return first - began, last - began


def _idle(where: Path, ready: Event, over: Event) -> None:
    system, spool = site(where)
    service = Service(system, spool)
    with running(service):
        while service.counts().get("done", 0) < _BEFORE or service.clerk.busy:
            time.sleep(0.1)
        ready.set()
        over.wait()


_BEFORE = 1000
"""Requests that were served before a service is idle."""


def idle(seconds: float) -> tuple[float, float]:
    """Return the share of a core that a service takes with nothing to do, and its MiB in memory."""
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    with tempfile.TemporaryDirectory() as where:
        Spool.create(Path(where) / "spool").close()
        fill(Path(where) / "spool/staging", _BEFORE)
        process = context.Process(target=_idle, args=(Path(where), ready, over))
        process.start()
        ready.wait()
        time.sleep(2)
        before = _ticks(process.pid)
        time.sleep(seconds)
        ticks = _ticks(process.pid) - before
        resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        over.set()
        process.join()
    share = ticks / os.sysconf("SC_CLK_TCK") / seconds
    return share, resident * os.sysconf("SC_PAGE_SIZE") / 2**20


def _ticks(pid: int | None) -> int:
    """Return the clock ticks that a process has had, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000
    return f"p50 {p50:6.2f} ms, p99 {p99:6.2f} ms"


def main() -> None:
    """Print the figures beside their aims."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--backlog", type=int, default=20000, help="the design's aim: 100000")
    parser.add_argument("--idle", type=float, default=60, help="seconds; the design's aim: 600")
    options = parser.parse_args()
    with_results = throughput(options.requests, write_results=True)
    print(f"engine, with result files:    {with_results:8.0f} requests/s   (aim 2000)")
    without = throughput(options.requests, write_results=False)
    print(f"engine, without result files: {without:8.0f} requests/s   (aim 5000)")
    whole, own, rest = zip(*latency(options.drops), strict=True)
    print(f"drop to accepted:             {_percentiles(list(whole))}   (aim 1 and 3)")
    print(f"  the writer's own call:      {_percentiles(list(own))}   (write, rename, two flushes)")
    print(f"  from rename to accepted:    {_percentiles(list(rest))}   (the service, two flushes)")
    first, last = backlog(options.backlog)
    print(
        f"start with {options.backlog} waiting:     first accepted in {first:.2f} s, all in "
        f"{last:.1f} s, {options.backlog / last:.0f} a second   (aim 1 s, and 100000 in 30 s)"
    )
    share, resident = idle(options.idle)
    print(
        f"idle for {options.idle:g} s:              {share:.2%} of a core, {resident:.0f} MiB"
        "   (aim 0.2 % and 80 MiB)"
    )


if __name__ == "__main__":
    main()
