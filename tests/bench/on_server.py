"""What a request costs with the journal in PostgreSQL, beside SQLite, in turn in the same run.

The handler does nothing, and one process serves all, with its redo log; the server is on the same
machine, and reached by a socket. Both flush what they commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from provisioner.service import Service
from tests.bench.apart import apart
from tests.bench.drops import running
from tests.bench.engine import REQUESTS
from tests.bench.figure import Figure, Run, Setting
from tests.bench.memory import busy
from tests.bench.place import fresh
from tests.bench.requests import fill, site
from tests.bench.server import computed, server
from tests.support.clusters import Cluster

ALONE = 500
WARM = 100
"""Requests before the first that counts: statements are prepared by then."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request that is alone took, in milliseconds.

    wall: from the file in staging to its result; client, server: of a processor, in the service's
    process and in all of the server's.
    """

    wall: float
    client: float
    server: float

    @property
    def both(self) -> float:
        """All of a processor."""
        return self.client + self.server


def serve(top: Path, journal: str, ask: Connection) -> None:
    """Serve until told to end."""
    system, spool = site(top, journal=journal)
    with running(Service(system, spool)):
        ask.send("started")
        ask.recv()


@contextmanager
def served(top: Path, cluster: Cluster | None) -> Iterator[int]:
    """Let a service serve in a process of its own, which is given. cluster: None for SQLite."""
    journal = "journal.db" if cluster is None else cluster.of(str(top))
    with apart(serve, top, journal) as (pid, _):
        yield pid


def alone(top: Path, number: int, cluster: Cluster | None) -> Cost:
    """Return what requests cost that come one after the other's result."""
    waited = []

    def used() -> tuple[float, float]:
        return busy(pid), 0.0 if cluster is None else computed(cluster)

    with served(top, cluster) as pid:
        done = top / "spool/done"
        for each in range(WARM + number):
            if each == WARM:
                before = used()
            fill(top / "spool/staging", 1, each)
            began = time.monotonic()
            while not any(done.glob(f"*-r{each:06}.yaml.result.yaml")):
                time.sleep(0.001)
            waited.append(time.monotonic() - began)
        client, server = (a - b for a, b in zip(used(), before, strict=True))
    each_ms = 1000 / number
    return Cost(median(waited[WARM:]) * 1000, client * each_ms, server * each_ms)


def beside_sqlite(pick: Callable[[Cost], float], setting: Setting) -> Iterator[Run]:
    """Yield what is picked of a request's cost on PostgreSQL, and on SQLite."""
    number = setting.size(ALONE)
    while True:
        with fresh(setting.top) as top:
            floor = alone(top, number, None)
        with fresh(setting.top) as top, server(top) as cluster, fresh(top) as at:
            yield Run(pick(alone(at, number, cluster)), pick(floor))


def many(top: Path, number: int, cluster: Cluster | None) -> float:
    """Return requests a second where all wait at the start, until the last has its result."""
    journal = "journal.db" if cluster is None else cluster.of(str(top))
    system, spool = site(top, journal=journal)
    fill(spool.staging, number)
    service = Service(system, spool)
    began = time.perf_counter()
    service.drain(60)
    took = time.perf_counter() - began
    system.journal.close()
    return number / took


def many_beside_sqlite(setting: Setting) -> Iterator[Run]:
    """Yield requests a second on PostgreSQL, and on SQLite."""
    number = setting.size(REQUESTS)
    while True:
        with fresh(setting.top) as top:
            floor = many(top, number, None)
        with fresh(setting.top) as top, server(top) as cluster, fresh(top) as at:
            yield Run(many(at, number, cluster), floor)


def lone(name: str, what: str, pick: Callable[[Cost], float]) -> Figure:
    """Return a figure of a request that is alone."""
    return Figure(
        name,
        f"a lone request of which nothing is to be done, with the journal in PostgreSQL: {what}",
        "with the journal in SQLite",
        "ms",
        partial(beside_sqlite, pick),
    )


FIGURES = (
    lone("journal-postgresql", "from its file to its result", lambda cost: cost.wall),
    lone("journal-postgresql-client", "of a processor in the service", lambda cost: cost.client),
    lone(
        "journal-postgresql-both",
        "of a processor in the service and the server",
        lambda cost: cost.both,
    ),
    Figure(
        "journal-postgresql-many",
        "20,000 requests wait, and get result and receipt, with the journal in PostgreSQL",
        "with the journal in SQLite",
        "requests/s",
        many_beside_sqlite,
    ),
)
