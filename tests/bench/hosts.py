"""Requests a second where lanes are drained by one, two and four hosts, beside one host.

The intake is a host beside PostgreSQL; each of the others is a process in a network namespace, from
which it reaches the server over a pair of devices. A backend makes its lane wait 20 ms for each
look and for each object, and computes nothing; each request is one object in one of them. The clock
runs from the first request in staging to the last result. Needs root.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from provisioner.cli import sharing
from provisioner.config import schema as configuration
from provisioner.routing.router import Router
from provisioner.spool.spool import Spool
from provisioner.wiring import System
from tests.bench import networks
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.bench.server import reached
from tests.bench.slow import Slow

LANES = 2
"""The backends that come with a host."""
REQUESTS = 500
"""For each lane."""
BATCH = 25
"""Objects that a lane takes at once, with a look before and after."""
PORTAL = 250
"""The number of the intake's host."""
WAIT = 120.0
"""Seconds until hosts serve."""

HEAD = """\
service: bench
spool: {top}/spool
journal: {journal}
routes:
  allocation.provision:
    - {{name: thing, handler: slow, with: {{name: "{{{{ project.code }}}}"}}}}
"""


def configured(path: Path, journal: str, lanes: int) -> None:
    """Write a host's configuration. lanes: how many there are."""
    names = [f"b{number}" for number in range(lanes)]
    parts = {
        "handlers": [f"  {name}: {{use: slow}}" for name in names],
        "lanes": [f"  {name}: {{batch: {BATCH}}}" for name in names],
        "resources": [f"  on-{name}: {{handlers: [{name}]}}" for name in names],
    }
    text = HEAD.format(top=path.parent, journal=journal)
    for word, lines in parts.items():
        text += "\n".join([f"{word}:", *lines, ""])
    path.write_text(text)


def body(number: int, lanes: int) -> bytes:
    """Make a request for one object. lanes: of which it is in one."""
    return (
        f"provisioner: 1\naction: allocation.provision\nid: bench-{number}\nallocation:\n"
        f"  id: {number}\n  resource: on-b{number % lanes}\n  project: {{code: cf{number}}}\n"
    ).encode()


def fill(staging: Path, number: int, lanes: int) -> None:
    """Put requests into staging."""
    for each in range(number):
        path = staging / f".r{each:06}.yaml"
        path.write_bytes(body(each, lanes))
        path.chmod(0o600)
        path.rename(staging / f"r{each:06}.yaml")


def throughput(top: Path, hosts: int, lanes: int, number: int) -> float:
    """Return requests a second. lanes: of all hosts together, in turn; number: for each lane."""
    spool = top / "spool"
    Spool.create(spool).close()
    with reached(top) as cluster, serving_hosts(top, cluster.make(), hosts, lanes):
        began = time.monotonic()
        fill(spool / "staging", number * lanes, lanes)
        while len(list((spool / "done").glob("*.result.yaml"))) < number * lanes:
            time.sleep(0.2)
        return number * lanes / (time.monotonic() - began)


@contextmanager
def serving_hosts(top: Path, address: str, hosts: int, lanes: int) -> Iterator[None]:
    """Let an intake and hosts serve. address: of the journal, by its server's socket."""
    own = "host=" + address.partition("host=")[2].partition("&")[0]
    shares = [[f"b{lane}" for lane in range(lanes) if lane % hosts == n] for n in range(hosts)]
    made: list[subprocess.Popen[bytes]] = []
    logs: list[tuple[Path, str]] = []

    def start(number: int, names: Sequence[str]) -> None:
        file, log = top / f"host{number}.yaml", top / f"host{number}.log"
        configured(file, address.replace(own, f"host={networks.near(number)}"), lanes)
        made.append(networks.start(number, [sys.executable, "-m", __name__, file, *names], log))
        wanted = [f"lane {name} is drained here" for name in names] or ["serves bench"]
        logs.extend((log, each) for each in wanted)

    try:
        start(PORTAL, [])
        _until_said(made, logs)
        for number, names in enumerate(shares, 1):
            start(number, names)
        _until_said(made, logs)
        yield
    finally:
        for process in made:
            process.terminate()
        for process in made:
            process.wait(60)


def _until_said(made: Sequence[subprocess.Popen[bytes]], logs: Sequence[tuple[Path, str]]) -> None:
    end = time.monotonic() + WAIT
    while missing := [(log, words) for log, words in logs if words not in log.read_text()]:
        if time.monotonic() > end or any(process.poll() is not None for process in made):
            log, words = missing[0]
            raise SystemExit(f"{log.name} does not say {words!r}:\n{log.read_text()[-4000:]}")
        time.sleep(0.1)


def waits(lanes: int, number: int) -> float:
    """Return objects a second where threads call the backends, and nobody else does anything."""

    def lane(backend: Slow) -> None:
        keys = [key for each in range(number) for key in backend.claims({"name": f"cf{each}"})]
        for start in range(0, number, BATCH):
            some = keys[start : start + BATCH]
            seen = backend.observe(some)
            planned = [backend.plan(key, {"present": True}, seen[key]) for key in some]
            backend.apply([change for changes in planned for change in changes])
            backend.observe(some)

    threads = [threading.Thread(target=lane, args=(Slow(f"b{n}"),)) for n in range(lanes)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return number * lanes / (time.monotonic() - began)


def beside_backends(setting: Setting) -> Iterator[Run]:
    """Yield requests a second of one host, and of its backends alone."""
    networks.alone()
    number = setting.size(REQUESTS)
    while True:
        floor = waits(LANES, number)
        with fresh(setting.top) as top:
            yield Run(throughput(top, 1, LANES, number), floor)


def beside_one(hosts: int, lanes: int, fewer: int, setting: Setting) -> Iterator[Run]:
    """Yield requests a second of some hosts, and of one. lanes, fewer: of all, and of the one."""
    networks.alone()
    number = setting.size(REQUESTS)
    while True:
        with fresh(setting.top) as top:
            floor = throughput(top, 1, fewer, number)
        with fresh(setting.top) as top:
            yield Run(throughput(top, hosts, lanes, number), floor)


def main(file: str, *lanes: str) -> None:
    """Be a host: of some lanes, or the intake."""
    import logging

    logging.basicConfig(level=logging.INFO)
    config = configuration.load(Path(file))
    handlers = {name: Slow(name) for name in config.handlers}
    kinds = dict.fromkeys(handlers, "slow")
    system = System(config, handlers, kinds, Router(config, handlers, kinds))
    if lanes:
        sharing.lanes(system, lanes)
    else:
        sharing.intake(system)


FIGURES = (
    Figure(
        "hosts-1",
        "one host drains two lanes of backends that wait 20 ms for each call, 1,000 requests",
        "two threads that call these backends, and do no more",
        "requests/s",
        beside_backends,
        needs="root",
    ),
    Figure(
        "hosts-2",
        "two hosts, each with two such lanes, 2,000 requests",
        "one host with two",
        "requests/s",
        partial(beside_one, 2, 2 * LANES, LANES),
        (Aim("ratio", 1.7, most=False),),
        needs="root",
    ),
    Figure(
        "hosts-4",
        "four hosts, each with two such lanes, 4,000 requests",
        "one host with two",
        "requests/s",
        partial(beside_one, 4, 4 * LANES, LANES),
        needs="root",
    ),
    Figure(
        "hosts-2-same",
        "two hosts share the same four lanes, 2,000 requests",
        "one host has all four",
        "requests/s",
        partial(beside_one, 2, 2 * LANES, 2 * LANES),
        needs="root",
    ),
)

if __name__ == "__main__":
    main(*sys.argv[1:])
