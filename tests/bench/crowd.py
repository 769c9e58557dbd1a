"""What grows with the number of users: measured with some numbers of them, and reckoned on to more.

Run: python -m tests.bench.crowd [--users N]... [--reckon N] [--top DIR]. Each user is
five objects in five lanes whose handler does nothing; the journal is in PostgreSQL, on a server of
this machine. A row of the table is what was measured with each number, the exponent between the
smallest and the largest (1: it grows as the users do, 0: not at all), and what that comes to.
Promises: what is done with a number of users is done in a journal of its own. Leaves out: backends,
which each have their own wall.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg

from provisioner.config import schema as configuration
from provisioner.contract import Key, Want, make_key
from provisioner.journal import stored
from provisioner.journal.journal import Journal
from provisioner.routing.router import Router
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop, drop_companion
from provisioner.wiring import System
from tests.bench.apart import apart
from tests.bench.drops import running
from tests.bench.memory import Served, busy, so
from tests.bench.nothing import Nothing
from tests.bench.place import PLACES, fresh
from tests.bench.server import computed, server
from tests.bench.table import number
from tests.support.clusters import Cluster

LANES = ("ad", "groups", "lds", "homes", "slurm")
AT_ONCE = 5_000
"""Users that wait together."""
ALONE = 200

CONFIG = """\
service: bench
spool: {top}/spool
journal: {journal}
drift: {{others: 0}}
handlers: {{{handlers}}}
routes:
  user.provision:
"""


class Named(Nothing):
    """A handler with a lane of its own."""

    def __init__(self, name: str) -> None:
        self.lane = name

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        return {make_key(self.lane, "thing", str(params["name"])): {"present": True}}


def built(top: Path, journal: str) -> System:
    """Build the site."""
    path = top / "provisioner.yaml"
    handlers = ", ".join(f"{name}: {{use: nothing}}" for name in LANES)
    text = CONFIG.format(top=top, journal=journal, handlers=handlers)
    for name in LANES:
        text += f'    - {{name: {name}, handler: {name}, with: {{name: "{{{{ user.name }}}}"}}}}\n'
    path.write_text(text)
    config = configuration.load(path)
    named = {name: Named(name) for name in LANES}
    kinds = dict.fromkeys(LANES, "nothing")
    return System(config, named, kinds, Router(config, named, kinds))


def serve(top: Path, journal: str, ask: Connection) -> None:
    """Serve, and answer each question when it is so; see `tests.bench.memory.so`."""
    system = built(top, journal)
    with running(service := Service(system, Spool.open(top / "spool"))):
        ask.send("started")
        while (question := ask.recv()) is not None:
            while not so(service, *question):
                time.sleep(0.5)
            ask.send("so")


@contextmanager
def served(top: Path, journal: str, filled: int = 0) -> Iterator[Served]:
    """Let a service serve in a process of its own. filled: the requests that it has had."""
    with apart(serve, top, journal) as (pid, ask):
        yield Served(pid, top, ask, filled)


class Watch:
    """Tells what a service and its server have taken since it was asked last."""

    def __init__(self, pid: int, cluster: Cluster) -> None:
        self._pid, self._cluster = pid, cluster
        self._last = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.monotonic(), busy(self._pid), computed(self._cluster)

    def lap(self) -> tuple[float, float, float]:
        """Return seconds of the clock, and of a processor in the service and in the server."""
        before, self._last = self._last, self._now()
        wall, client, asked = (new - old for new, old in zip(self._last, before, strict=True))
        return wall, client, asked


def measured(top: Path, cluster: Cluster, users: int) -> dict[str, float]:
    """Return what is measured with a number of users."""
    journal = cluster.make()
    Spool.create(top / "spool").close()
    found = made(top, journal, cluster, users) | kept(top, journal)
    return found | compared(top, journal, cluster, users + ALONE)


def made(top: Path, journal: str, cluster: Cluster, users: int) -> dict[str, float]:
    """Make users, some thousands at a time, and then some more one by one."""
    with served(top, journal) as one:
        watch = Watch(one.pid, cluster)
        for start in range(0, users, AT_ONCE):
            one.fill(min(AT_ONCE, users - start))
            one.until("done")
        wall, client, asked = watch.lap()
        for _ in range(ALONE):
            one.fill(1)
            filed(top / "spool/done")
        _, lone_client, lone_asked = watch.lap()
        return {
            "a new user among many: ms": wall / users * 1000,
            "of a processor in the service: ms": client / users * 1000,
            "of a processor in the server: ms": asked / users * 1000,
            "a new user alone, in the service: ms": lone_client / ALONE * 1000,
            "a new user alone, in the server: ms": lone_asked / ALONE * 1000,
            "memory of the service: MiB": one.peak(),
        }


def filed(done: Path) -> None:
    """Wait until a directory has changed, and then has not for a moment."""
    first = last = done.stat().st_mtime_ns
    while last == first or done.stat().st_mtime_ns != last:
        last = done.stat().st_mtime_ns
        time.sleep(0.02)


def kept(top: Path, journal: str) -> dict[str, float]:
    """Look at what the server has, and copy and check it as a start does."""
    with psycopg.connect(journal, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND "
        [(whole,)] = conn.execute(f"{size}relnamespace = current_schema()::REGNAMESPACE")
        rows = "SELECT sum(n_live_tup) FROM pg_stat_user_tables WHERE schemaname = current_schema()"
        [(many,)] = conn.execute(rows)
    began = time.monotonic()
    stored.of(journal).copy(top / "dump", lambda _: None)
    copied = time.monotonic() - began
    book = Journal.open(journal)
    began = time.monotonic()
    book.check()
    book.close()
    return {
        "rows, in thousands": int(many) / 1000,
        "the server's tables and indexes: MiB": int(whole) / 2**20,
        "a copy: MiB": (top / "dump").stat().st_size / 2**20,
        "a copy: s": copied,
        "reading every cell at a start: s": time.monotonic() - began,
    }


def compared(top: Path, journal: str, cluster: Cluster, users: int) -> dict[str, float]:
    """Have a service compare a manifest of all users twice, and look at all their objects."""
    found = {}
    with served(top, journal) as one, psycopg.connect(journal, autocommit=True) as conn:
        watch = Watch(one.pid, cluster)
        for name in ("first after a start", "later"):
            reconcile(top, name.partition(" ")[0], users)
            result, *processor = watch.lap()
            while conn.execute("SELECT FROM objects WHERE due IS NOT NULL LIMIT 1").fetchall():
                time.sleep(0.5)
            looks, *more = watch.lap()
            found[f"a manifest, {name}: s until its result"] = result
            found[f"a manifest, {name}: s of a processor until then"] = sum(processor)
            found[f"looks at all objects, {name}: s"] = looks
            found[f"looks at all objects, {name}: s of a processor"] = sum(more)
        found["memory of the service with manifests: MiB"] = one.peak()
    return found


def reconcile(top: Path, name: str, users: int) -> None:
    """Send a manifest of users of which nothing has changed, and wait for its result."""
    people = [{"name": f"u{number}", "full_name": f"User {number}"} for number in range(users)]
    lines = [json.dumps({"action": "user.provision", "user": user}) for user in people]
    content, spool = "".join(f"{line}\n" for line in lines).encode(), top / "spool"
    drop_companion(spool / "staging", f"{name}.jsonl", content)
    digest = hashlib.sha256(content).hexdigest()
    named = {"file": f"{name}.jsonl", "size": len(content), "sha256": digest}
    asked = {"provisioner": 1, "action": "reconcile", "manifest": named}
    drop(spool / "staging", f"{name}.json", json.dumps(asked).encode())
    while not list((spool / "done").glob(f"*-{name}.json.result.yaml")):
        if failed := list((spool / "failed").glob(f"*-{name}.json.result.yaml")):
            raise SystemExit(failed[0].read_text()[:4000])
        time.sleep(0.2)


def exponent(small: tuple[int, float], large: tuple[int, float]) -> float:
    """Return how a value grows with a number: as its power."""
    if not small[1] or not large[1]:
        return 0.0
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def lines(rows: Mapping[int, Mapping[str, float]], users: int) -> Iterator[str]:
    """Yield the table. rows: what was measured, by the number of users; users: to reckon on to."""
    numbers = sorted(rows)
    yield f"| Users | {' | '.join(f'{n:,}' for n in numbers)} | Exponent | {users:,} |"
    yield "|---" * (len(numbers) + 3) + "|"
    for what in rows[numbers[0]]:
        values = [rows[n][what] for n in numbers]
        grows = exponent((numbers[0], values[0]), (numbers[-1], values[-1]))
        then = values[-1] * (users / numbers[-1]) ** grows
        cells = [what, *(number(value) for value in values), f"{grows:.2f}", number(then)]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure what is asked, and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crowd")
    parser.add_argument("--users", type=int, action="append", help="how many; may be repeated")
    parser.add_argument("--reckon", type=int, default=100_000, help="users to reckon on to")
    parser.add_argument("--top", type=Path, default=PLACES["memory"], help="a directory")
    given = parser.parse_args()
    rows = {}
    for users in given.users or (10_000, 20_000, 40_000):
        with fresh(given.top) as top, server(top) as cluster, fresh(top) as at:
            rows[users] = measured(at, cluster, users)
            print(json.dumps({"users": users, **rows[users]}), file=sys.stderr, flush=True)
    print("\n".join(lines(rows, given.reckon)))


if __name__ == "__main__":
    main()
