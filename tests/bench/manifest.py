"""A manifest of the documented size through the service's own process: time, memory, silence.

Run: python -m tests.bench.manifest [--size MIB] [--line BYTES] [--memory MIB]. The handler does
nothing; lines name accounts. Meanwhile somebody else sends a request each second. The service has
the memory of the shipped unit and no more, by RLIMIT_DATA.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import socket
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.service import Service
from provisioner.spool.submit import drop, drop_companion
from provisioner.system.sd_notify import Notifier
from tests.bench.engine import body, site

MIB = 1024 * 1024
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
        looked = time.monotonic() if time.monotonic() > looked + 2 else looked
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
    """Say whether a request is over, every other second: a directory of many files is slow."""
    if time.monotonic() < looked + 2:
        return False
    if list((root / "spool/failed").glob(f"*-{name}.json")):
        raise SystemExit("the manifest was refused")
    return bool(list((root / "spool/done").glob(f"*-{name}.json")))


def _heard(manager: socket.socket) -> bool:
    try:
        return bool(manager.recv(100))
    except BlockingIOError:
        return False


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=float, default=64.0, help="MiB of the manifest")
    parser.add_argument("--line", type=int, default=300, help="bytes of a line")
    parser.add_argument("--memory", type=int, default=2048, help="MiB that the service may use")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as where,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        root = Path(where)
        manager.bind(str(root / "notify"))
        manager.setblocking(False)
        arguments = (root, manager.getsockname(), given.memory)
        service = multiprocessing.get_context("spawn").Process(target=serve, args=arguments)
        service.start()
        while not _heard(manager):
            time.sleep(0.01)
        manifest = lines(int(given.size * MIB), given.line)
        count = manifest.count(b"\n")
        print(f"a manifest of {len(manifest) / MIB:.1f} MiB, {count} lines")
        assert service.pid is not None
        for name in ("new", "same"):
            seen = watch(root, manager, service.pid, manifest, name)
            print(
                f"{name:5} {seen.took:7.1f} s  peak {seen.peak} MiB of {given.memory}  "
                f"silent {seen.silence:.2f} s of {AIM_SILENCE:g}  others' requests: "
                f"{len(seen.latencies)}, slowest {max(seen.latencies, default=0.0):.2f} s",
                flush=True,
            )
        service.terminate()
        service.join()


if __name__ == "__main__":
    main()
