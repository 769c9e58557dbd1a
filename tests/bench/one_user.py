"""One new user in all backends by a request, beside a straight script that makes the same calls."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from provisioner.contract import Fault
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from provisioner.wiring import System
from tests.bench.drops import running
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.lab import make, slurm_of, system_in
from tests.bench.place import fresh


def straight(lab: Path, system: System, name: str, uid: int) -> float:
    """Make a user by a straight script: one call after the other, and their read-back. For Slurm
    each is a process of its own."""
    began = time.perf_counter()
    handlers = system.handlers
    who = {"name": name, "surname": name, "uid": uid, "gid": 10000}
    account = make(handlers["ad"], who)
    ids = {"uid": account["uid"], "gid": account["gid"]}
    make(handlers["lds"], {"name": name, "sid": account["sid"], **ids})
    make(handlers["homes"], {"name": name, **ids})
    while True:
        try:
            make(handlers["names"], {"user": name})
            break
        except Fault:
            time.sleep(0.05)
    slurm_of(lab).by_calls("bench", name)
    return time.perf_counter() - began


def served(spool: Spool, name: str, uid: int) -> float:
    """Make a user by a request; return seconds from the drop to the file in done/."""
    request = (
        f"provisioner: 1\naction: user.provision\n"
        f"user: {{name: {name}, surname: {name}, uid: {uid}, gid: 10000}}\n"
    )
    began = time.perf_counter()
    drop(spool.staging, f"{name}.yaml", request.encode())
    while time.perf_counter() - began < 60:
        if list((spool.root / "done").glob(f"*-{name}.yaml")):
            return time.perf_counter() - began
        if list((spool.root / "failed").glob(f"*-{name}.yaml.result.yaml")):
            raise SystemExit(next((spool.root / "failed").glob("*.result.yaml")).read_text())
        time.sleep(0.002)
    raise SystemExit(f"{name} was not done within 60 s")


def rounds(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of one user by a request, and by the script, in turn."""
    assert setting.lab is not None
    with fresh(setting.top) as top:
        system, spool = system_in(setting.lab, top)
        make(system.handlers["slurm-lab"], {"account": "bench", "description": "bench"})
        stem = "b" + uuid.uuid4().hex[:6]
        # Of the directory's own range; what earlier runs took is most likely elsewhere.
        first = random.randrange(36000, 49000)
        service = Service(system, spool)
        with running(service):
            time.sleep(0.5)
            for n in count():
                script = straight(setting.lab, system, f"{stem}s{n}", first + 2 * n)
                request = served(spool, f"{stem}r{n}", first + 2 * n + 1)
                if n:
                    # The first pair warms connections and caches up.
                    yield Run(request, script)


FIGURES = (
    Figure(
        "one-user",
        "one new user in AD, AD LDS, homes and Slurm, by a request",
        "a script: one call after the other, each of Slurm's a process",
        "s",
        rounds,
        (
            Aim("ratio", 0.6, most=True, where="Slurm 22.05"),
            Aim("ratio", 0.8, most=True),
        ),
        needs="lab",
    ),
)
