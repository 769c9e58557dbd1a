"""A manifest of the documented size through the service's own process: time, memory, silence.

The handler does nothing; lines name accounts. Meanwhile somebody else sends a request each second.
The service has the memory of the shipped unit and no more, by RLIMIT_DATA.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from provisioner.service import Service
from provisioner.spool.submit import drop, drop_companion
from provisioner.system.sd_notify import Notifier
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.bench.requests import body, site

MIB = 1024 * 1024
SIZE = 8 * MIB
LINE = 300
MEMORY = 2048
"""MiB of the shipped unit."""
AIM_SILENCE = 90.0
"""Seconds of the shipped unit's watchdog."""


@dataclass
class Seen:
    """What was seen from outside. silence, slowest: seconds."""

    took: float = 0.0
    silence: float = 0.0
    latencies: list[float] = field(default_factory=list)
    peak: int = 0


def lines(size: int, line: int) -> bytes:
    """Write a manifest of about a size."""
    made, number, length = [], 0, 0
    while length < size:
        person = {"name": f"u{number:07}", "full_name": f"User {number}"}
        row = {"action": "user.provision", "user": person, "reason": ""}
        row["reason"] = "x" * max(1, line - len(json.dumps(row)) - 1)
        made.append(json.dumps(row).encode() + b"\n")
        length += len(made[-1])
        number += 1
    return b"".join(made[:-1])


def serve(root: Path, address: str, memory: int) -> None:
    """Be the service."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory * MIB, memory * MIB))
    system, spool = site(root)
    told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"}
    Service(system, spool).run(Notifier(told))


def watch(root: Path, manager: socket.socket, pid: int, manifest: bytes, name: str) -> Seen:
    """Send a manifest, and somebody else's requests until it is over."""
    staging, seen = root / "spool/staging", Seen()
    drop_companion(staging, f"{name}.jsonl", manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    named = {"file": f"{name}.jsonl", "size": len(manifest), "sha256": digest}
    asked = {"provisioner": 1, "action": "reconcile", "manifest": named}
    drop(staging, f"{name}.json", json.dumps(asked).encode())
    began = heard = time.monotonic()
    dropped: tuple[str, float] | None = None
    number, looked = 0, began
    while not _over(root, name, looked):
        looked = time.monotonic() if time.monotonic() > looked + 0.2 else looked
        while _heard(manager):
            seen.silence = max(seen.silence, time.monotonic() - heard)
            heard = time.monotonic()
        if dropped is not None and not (staging / dropped[0]).exists():
            seen.latencies.append(time.monotonic() - dropped[1])
            dropped = None
        if dropped is None and time.monotonic() - began > number:
            number += 1
            dropped = f"{name}-{number}.yaml", time.monotonic()
            drop(staging, dropped[0], body(10_000_000 + number))
        os.kill(pid, 0)
        time.sleep(0.005)
    seen.took = time.monotonic() - began
    status = Path(f"/proc/{pid}/status").read_text()
    seen.peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    return seen


def _over(root: Path, name: str, looked: float) -> bool:
    """Say whether a request is over, a few times a second."""
    if time.monotonic() < looked + 0.2:
        return False
    if list((root / "spool/failed").glob(f"*-{name}.json")):
        raise SystemExit("the manifest was refused")
    return bool(list((root / "spool/done").glob(f"*-{name}.json")))


def _heard(manager: socket.socket) -> bool:
    try:
        return bool(manager.recv(100))
    except BlockingIOError:
        return False


@contextmanager
def service(root: Path, memory: int) -> Iterator[tuple[int, socket.socket]]:
    """Start a service that has said that it is ready; yield its pid, and where it says so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(root / "notify"))
        manager.setblocking(False)
        arguments = (root, manager.getsockname(), memory)
        process = multiprocessing.get_context("spawn").Process(target=serve, args=arguments)
        process.start()
        try:
            while not _heard(manager):
                time.sleep(0.01)
            assert process.pid is not None
            yield process.pid, manager
        finally:
            process.terminate()
            process.join()


def parsed(manifest: bytes) -> float:
    """Return the seconds to parse a manifest and no more."""
    began = time.monotonic()
    for line in manifest.splitlines():
        json.loads(line)
    return time.monotonic() - began


def rounds(pick: Callable[[Seen, bytes], Run], setting: Setting) -> Iterator[Run]:
    """Yield what is picked of a manifest whose lines the service has had before."""
    manifest = lines(setting.size(SIZE), LINE)
    with fresh(setting.top) as root, service(root, MEMORY) as (pid, manager):
        watch(root, manager, pid, manifest, "new")
        for n in count():
            yield pick(watch(root, manager, pid, manifest, f"same{n}"), manifest)


FIGURES = (
    Figure(
        "manifest",
        "a manifest of 8 MiB, lines of 300 bytes, none of them new, while somebody else sends a "
        "request each second",
        "parsing it",
        "s",
        partial(rounds, lambda seen, manifest: Run(seen.took, parsed(manifest))),
    ),
    Figure(
        "manifest-silence",
        "the longest that the service tells its watchdog nothing meanwhile",
        "all of its time",
        "s",
        partial(rounds, lambda seen, _: Run(seen.silence, seen.took)),
        (Aim("value", AIM_SILENCE, most=True),),
    ),
    Figure(
        "manifest-memory",
        "the most memory of the service meanwhile",
        "the manifest",
        "MiB",
        partial(rounds, lambda seen, manifest: Run(seen.peak, len(manifest) / MIB)),
        (Aim("value", MEMORY, most=True),),
    ),
    Figure(
        "manifest-others",
        "the longest that the others' requests wait for their acceptance meanwhile",
        "all of its time",
        "s",
        partial(rounds, lambda seen, _: Run(max(seen.latencies, default=0.0), seen.took)),
    ),
)
