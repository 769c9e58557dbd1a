"""Users into one Slurm account, a request each, beside list calls alone and other ways."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import yaml

from handlers.slurm.writes import CHUNK
from provisioner.config import schema as configuration
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import System, build
from tests.bench import waldur
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.into_slurm import Slurm, rate
from tests.bench.lab import make, slurm_of
from tests.bench.place import fresh

USERS = 5000
SOME = 500
"""Users of the ways that are far apart."""
SINGLES = 20
"""Users of the ways that take a call for each, or several."""


def by_list_calls(slurm: Slurm, number: int) -> float:
    """Return users a second into an account of their own by list calls alone. They are removed
    afterwards: slurmctld looks up all again, at each write, who resolve nowhere."""
    account = slurm.account()
    users = [f"{account}l{n}" for n in range(number)]
    where = [f"account={account}", f"cluster={slurm.cluster}"]
    began = time.perf_counter()
    for start in range(0, number, CHUNK):
        slurm.sacctmgr("add", "user", ",".join(users[start : start + CHUNK]), *where)
    seconds = time.perf_counter() - began
    slurm.forget(account)
    return number / seconds


def slurm_alone(lab: Path, root: Path) -> tuple[System, Spool]:
    """Build a service on a lab's Slurm alone."""
    slurm = json.loads((lab / "lab.json").read_text())["slurm"]
    config = {
        "service": "bench",
        "spool": str(root / "spool"),
        "journal": str(root / "journal.db"),
        # The users resolve nowhere: what slurmctld holds of them is not asked.
        "handlers": {
            "slurm": {
                "use": "slurm",
                "cluster": slurm["cluster"],
                "slurm_conf": slurm["conf"],
                "scontrol": [],
            }
        },
        "resources": {"lab": {"handlers": ["slurm"]}},
    }
    path = root / "provisioner.yaml"
    path.write_text(yaml.safe_dump(config))
    Spool.create(root / "spool").close()
    return build(configuration.load(path)), Spool.open(root / "spool")


def by_requests(lab: Path, root: Path, number: int) -> float:
    """Return users a second into an account of their own by a request each, all of which wait.

    Ends if not all were read back, or are done.
    """
    stem = "m" + uuid.uuid4().hex[:6]
    system, spool = slurm_alone(lab, root)
    make(system.handlers["slurm"], {"account": stem, "description": "bench"})
    for n in range(number):
        path = spool.staging / f"r{n}.yaml"
        path.write_text(
            f"provisioner: 1\naction: membership.add\nmembership:\n  user: {stem}u{n}\n"
            f"  allocation: {{id: 1, resource: lab, project: {{code: {stem}}}}}\n"
        )
        path.chmod(0o600)
    service = Service(system, spool)
    began = time.perf_counter()
    service.drain(120)
    seconds = time.perf_counter() - began
    present = sum(user.startswith(f"{stem}u") for user in slurm_of(lab).users(stem))
    done = len(list((root / "spool/done").glob("*-r*.yaml")))
    slurm_of(lab).forget(stem)
    if present != number:
        raise SystemExit(f"{present} of {number} users were read back, {done} files in done/")
    return number / seconds


def requested(setting: Setting) -> Iterator[Run]:
    """Yield users a second by requests, and by list calls alone."""
    assert setting.lab is not None
    number = setting.size(USERS)
    while True:
        floor = by_list_calls(slurm_of(setting.lab), number)
        with fresh(setting.top) as top:
            yield Run(by_requests(setting.lab, top, number), floor)


def handled(beside: Callable[[Slurm, int], float], setting: Setting) -> Iterator[Run]:
    """Yield users a second by the handler, and by another way."""
    assert setting.lab is not None
    slurm = slurm_of(setting.lab)
    while True:
        floor = beside(slurm, setting.size(SOME))
        yield Run(rate(slurm, "list", setting.size(SOME)), floor)


def singly(slurm: Slurm, _: int) -> float:
    """Return users a second by one call each."""
    return rate(slurm, "single", SINGLES)


def loaded(slurm: Slurm, number: int) -> float:
    """Return users a second by `sacctmgr load`."""
    return rate(slurm, "load", number)


def by_waldur(slurm: Slurm, _: int) -> float:
    """Return users a second by waldur-site-agent's SlurmClient, as its backend calls it."""
    account = slurm.account()
    users = [f"{account}u{n}" for n in range(SINGLES)]
    seconds = waldur.add(slurm, account, users)
    missing = set(users) - set(slurm.users(account))
    slurm.forget(account)
    if missing:
        raise SystemExit(f"waldur-site-agent: {len(missing)} of {SINGLES} users are not there")
    return len(users) / seconds


HANDLED = "500 users into one Slurm account by the handler, read back"
FIGURES = (
    Figure(
        "account",
        "5,000 users into one Slurm account, a request each",
        "sacctmgr's list calls alone",
        "users/s",
        requested,
        (Aim("ratio", 0.9, most=False),),
        needs="lab",
    ),
    Figure(
        "account-single",
        HANDLED,
        "a call of sacctmgr for each of 20 users",
        "users/s",
        partial(handled, singly),
        needs="lab",
    ),
    Figure(
        "account-load",
        HANDLED,
        "sacctmgr load of a file of all",
        "users/s",
        partial(handled, loaded),
        needs="lab",
    ),
    Figure(
        "account-waldur",
        HANDLED,
        "SlurmClient of waldur-site-agent for each of 20 users",
        "users/s",
        partial(handled, by_waldur),
        needs="lab",
    ),
)
