"""A look for drift at a sandbox of many users without any, beside listing the same backends.

Five backends have all users: AD accounts, members of groups, AD LDS, homes, and associations of
Slurm. Leaves out: the number of calls, which tests hold.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from handlers.emulators import site as sandbox
from provisioner.config import schema
from provisioner.contract import split_key
from provisioner.inspection.rounds import Rounds
from provisioner.journal.records import object_rows
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import System, build
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh

BACKENDS = ("ad", "groups", "lds", "homes", "slurm-a")
NOTIFY = """\
notify:
  mail:
    directory: mail
    sender: hpc@campus.test
    domain: campus.test
    operators: [operators@campus.test]
"""
USERS = 10_000
OF_PROJECT = 100
"""Users of a project."""


def requests(staging: Path, users: int) -> None:
    """Put requests for all users into staging, and for allocations of some of them each."""
    names = [f"u{number:05}" for number in range(users)]
    for name in names:
        body = f"provisioner: 1\naction: user.provision\nuser: {{name: {name}}}\n"
        _put(staging / f"{name}.yaml", body)
    for start in range(0, users, OF_PROJECT):
        some = ", ".join(names[start : start + OF_PROJECT])
        code = f"CF{start // OF_PROJECT}"
        _put(
            staging / f"z{code}.yaml",
            "provisioner: 1\naction: allocation.provision\nallocation:\n"
            f"  id: {code}\n  resource: cluster-a\n  project: {{code: {code}, title: One, "
            f"pi: {names[start]}}}\n  users: [{some}]\n",
        )


def _put(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def settled_site(root: Path, users: int) -> System:
    """Make a sandbox where all users are in all backends. Ends if some are not."""
    sandbox.make(root)
    path = root / "provisioner.yaml"
    path.write_text(path.read_text().replace(NOTIFY, ""))  # thousands of mails are another figure
    system = build(schema.load(path))
    spool = Spool.open(system.config.spool)
    requests(spool.staging, users)
    Service(system, spool).drain(600)
    spool.close()
    with system.journal.reading() as conn:
        settled = Counter(split_key(key)[0] for key in object_rows.settled(conn, BACKENDS))
    short = [name for name in BACKENDS if settled[name] < users]
    if short:
        raise SystemExit(f"not all users are in {', '.join(short)}: {dict(settled)}")
    return system


def rounds(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of a round through all backends, and of listing them."""
    with fresh(setting.top) as top:
        system = settled_site(top, setting.size(USERS))
        while True:
            began = time.perf_counter()
            listed = sum(1 for name in BACKENDS for _ in system.handlers[name].inventory())
            floor = time.perf_counter() - began
            assert listed > 0
            walk = Rounds(system)
            began = time.perf_counter()
            walk.walk(time.time())
            yield Run(time.perf_counter() - began, floor)


FIGURES = (
    Figure(
        "drift",
        "a look for drift at 10,000 users in five emulated backends, without any",
        "listing these backends",
        "s",
        rounds,
        (Aim("value", 10.0, most=True),),
    ),
)
