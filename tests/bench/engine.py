"""Requests a second through the engine, and drop to durable acceptance.

Run: python -m tests.bench.engine [--requests N] [--drops N]. The handler does nothing; journal,
spool and results are the real ones, on the disk of the temporary directory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from pathlib import Path

from provisioner import config as configuration
from provisioner.drop import drop
from provisioner.intake import Admitted
from provisioner.routing import Router
from provisioner.service import Service
from provisioner.spool import Claimed, Spool
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


def throughput(number: int, *, write_results: bool) -> float:
    """Return requests a second, from the first look into a full staging to the last file moved."""
    with tempfile.TemporaryDirectory() as where:
        system, spool = site(Path(where))
        for n in range(number):
            (spool.staging / f"r{n:06}.yaml").write_bytes(body(n))
        for path in spool.staging.iterdir():
            path.chmod(0o600)
        service = Service(system, spool, write_results=write_results)
        began = time.perf_counter()
        service.drain(60)
        took = time.perf_counter() - began
        done = len(list((Path(where) / "spool/done").glob("*.yaml")))
        expected = number * (2 if write_results else 1)
        if done != expected:
            raise SystemExit(f"{done} files in done/, expected {expected}")
        return number / took


def _write(staging: Path, times: multiprocessing.Queue[tuple[str, float]], number: int) -> None:
    for n in range(number):
        began = time.monotonic()
        drop(staging, f"d{n}.yaml", body(n))
        times.put((f"bench-{n}", began))
        time.sleep(0.01)


def latency(number: int) -> list[float]:
    """Return seconds from the begin of a drop to the end of the commit that accepted it."""
    with tempfile.TemporaryDirectory() as where:
        system, spool = site(Path(where))
        service = Service(system, spool)
        accepted: dict[str, float] = {}
        admit = service.intake.admit

        def timed(claimed: list[Claimed]) -> Admitted:
            admitted = admit(claimed)
            now = time.monotonic()
            for one in claimed:
                accepted[one.name] = now
            return admitted

        service.intake.admit = timed  # type: ignore[method-assign,assignment]
        thread = threading.Thread(target=service.run)
        thread.start()
        time.sleep(0.5)
        context = multiprocessing.get_context("spawn")
        times: multiprocessing.Queue[tuple[str, float]] = context.Queue()
        writer = context.Process(target=_write, args=(spool.staging, times, number))
        writer.start()
        began = dict(times.get(timeout=60) for _ in range(number))
        writer.join()
        time.sleep(0.5)
        service.stop()
        thread.join()
        return [accepted[f"d{n}.yaml"] - began[f"bench-{n}"] for n in range(number)]


def main() -> None:
    """Print both figures beside their aims."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--drops", type=int, default=1000)
    options = parser.parse_args()
    with_results = throughput(options.requests, write_results=True)
    print(f"engine, with result files:    {with_results:8.0f} requests/s   (aim 2000)")
    without = throughput(options.requests, write_results=False)
    print(f"engine, without result files: {without:8.0f} requests/s   (aim 5000)")
    drops = sorted(latency(options.drops))
    p50 = statistics.median(drops) * 1000
    p99 = drops[int(len(drops) * 0.99)] * 1000
    print(f"drop to accepted:             p50 {p50:.2f} ms, p99 {p99:.2f} ms   (aim 1 and 3)")


if __name__ == "__main__":
    main()
