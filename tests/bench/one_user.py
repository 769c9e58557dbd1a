"""One new user in all backends by a request, beside a straight script that makes the same calls;
and what of these calls has to wait for another one, without a service.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from provisioner.contract import Fault
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from provisioner.spool.watch import Watcher
from provisioner.wiring import System
from tests.bench.drops import running
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.floors import DONE, database, insert
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
    resolved(system, name)
    slurm_of(lab).by_calls("bench", name)
    return time.perf_counter() - began


def resolved(system: System, name: str) -> None:
    """Return when this host knows a user."""
    while True:
        try:
            make(system.handlers["names"], {"user": name})
            return
        except Fault:
            time.sleep(0.05)


def least(system: System, journal: sqlite3.Connection, name: str, uid: int) -> float:
    """Make a user by no more than what waits for something else: the account, that it resolves, and
    Slurm, which was prepared meanwhile; with a commit after each. What can be done beside them
    (AD LDS, the home, taking the request, its result) is left out."""
    began = time.perf_counter()
    handlers = system.handlers
    member = {"account": "bench", "user": name}
    slurm: Any = handlers["slurm-lab"]
    slurm.prepare(slurm.claims(member))
    make(handlers["ad"], {"name": name, "surname": name, "uid": uid, "gid": 10000})
    insert(journal, DONE, [name])
    resolved(system, name)
    insert(journal, DONE, [name])
    make(handlers["slurm-lab"], member)
    insert(journal, DONE, [name])
    return time.perf_counter() - began


@contextmanager
def watched(spool: Spool) -> Iterator[threading.Event]:
    """Give what is set when a file comes into done/: who looked every moment would slow the service
    down, which is in the same process."""
    came = threading.Event()
    watcher = Watcher(spool.root / "done", came.set)
    watcher.start()
    try:
        yield came
    finally:
        watcher.stop()


def served(spool: Spool, came: threading.Event, name: str, uid: int) -> float:
    """Make a user by a request; return seconds from the drop to the file in done/. came: set when
    a file comes there."""
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
        came.wait(1.0)
        came.clear()
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
        with running(service), watched(spool) as came:
            time.sleep(0.5)
            for n in count():
                script = straight(setting.lab, system, f"{stem}s{n}", first + 2 * n)
                request = served(spool, came, f"{stem}r{n}", first + 2 * n + 1)
                if n:
                    # The first pair warms connections and caches up.
                    yield Run(request, script)


def bare(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of what waits for something else, and of the script, in turn."""
    assert setting.lab is not None
    with fresh(setting.top) as top:
        system, _ = system_in(setting.lab, top)
        make(system.handlers["slurm-lab"], {"account": "bench", "description": "bench"})
        journal = database(top / "floor.db", DONE)
        stem, first = "l" + uuid.uuid4().hex[:6], random.randrange(36000, 49000)
        for n in count():
            script = straight(setting.lab, system, f"{stem}s{n}", first + 2 * n)
            alone = least(system, journal, f"{stem}r{n}", first + 2 * n + 1)
            if n:
                yield Run(alone, script)


FIGURES = (
    Figure(
        "one-user-least",
        "of one new user, the calls that wait for one another, without a service",
        "a script: one call after the other, each of Slurm's a process",
        "s",
        bare,
        needs="lab",
    ),
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
