"""Users a second into one Slurm account: by the handler's list calls, by one call a user, and by
`sacctmgr load FILE`; and one user by the handler, as a part of what the same calls take.

Prints them as a line of JSON. Promises: all three in one process, one after the other, each read
back and removed before the next: slurmctld looks up all again, at each write, who resolve nowhere.
Run it from outside the lab: python -m tests.bench.into_slurm DIR. Leaves out: requests, which
`tests.bench.lab` measures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.slurm.handler import build
from handlers.slurm.programs import Programs
from handlers.slurm.sacctmgr import Sacctmgr
from provisioner.contract import Claim, Handler, Site
from provisioner.convergence.converge import converge
from provisioner.convergence.next_try import Patience
from provisioner.objects.items import Item
from provisioner.routing import expressions
from provisioner.system import process


@dataclass(frozen=True)
class Slurm:
    """A lab's Slurm, as its lab.json tells of it."""

    conf: str
    bin: str
    cluster: str

    def sacctmgr(self, *words: str) -> str:
        """Run a command at once and return what it prints."""
        done = subprocess.run(
            [str(Path(self.bin, "sacctmgr")), "-i", *words],
            env={**os.environ, "SLURM_CONF": self.conf}, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def handler(self) -> Handler:
        """Build the service's handler. The users resolve nowhere: slurmctld is not asked."""
        site = Site(
            instance="slurm",
            service="bench",
            run=process.run,
            host=None,  # type: ignore[arg-type]
            render=expressions.render_text,
            template=Path,
            secret=str,
        )
        settings: Mapping[str, object] = {
            "cluster": self.cluster,
            "slurm_conf": self.conf,
            "sacctmgr": [str(Path(self.bin, "sacctmgr"))],
            "scontrol": [],
            "squeue": [],
        }
        return build(site, settings)

    def by_calls(self, account: str, user: str) -> None:
        """Make a user as a script does: looked for in both lists, added, and looked for again, each
        by a call. Ends if they are not there then."""
        programs = Programs(process.run, {"SLURM_CONF": self.conf})
        sacctmgr = Sacctmgr(programs, self.cluster, [str(Path(self.bin, "sacctmgr"))])
        sacctmgr.associations([account])
        sacctmgr.users([user])
        sacctmgr.add_users(account, [user], [])
        rows = sacctmgr.associations([account])
        sacctmgr.users([user])
        if user not in {row.user for row in rows}:
            sys.exit(f"{user} is not in {account}")

    def account(self) -> str:
        """Make an account that nobody had before; give its name."""
        name = "m" + uuid.uuid4().hex[:8]
        self.sacctmgr("add", "account", name, f"cluster={self.cluster}")
        return name

    def forget(self, account: str) -> None:
        """Remove an account and its users, which takes minutes on 22.05."""
        self.sacctmgr("delete", "user", "where", f"name={','.join(self.users(account))}")
        where = [f"name={account}", f"cluster={self.cluster}"]
        self.sacctmgr("delete", "account", "where", *where)

    def users(self, account: str) -> list[str]:
        """Return the users of an account."""
        where = ["-nP", "show", "assoc", f"account={account}", "format=user"]
        return [user for user in self.sacctmgr(*where).split() if user]


def listed(slurm: Slurm, account: str, users: Sequence[str]) -> None:
    """Make users as the service's lane does: looked for, made, and read back."""
    made(slurm.handler(), account, users)


def made(handler: Handler, account: str, users: Sequence[str]) -> None:
    """Make users by a handler, in batches as a lane takes them."""
    batch = Patience().batch
    items = [
        Item(key, (Claim("bench", want),))
        for user in users
        for key, want in handler.claims({"account": account, "user": user}).items()
    ]
    for start in range(0, len(items), batch):
        for outcome in converge(handler, items[start : start + batch], lambda _: None):
            if outcome.fault is not None:
                raise outcome.fault


def singly(slurm: Slurm, account: str, users: Sequence[str]) -> None:
    """Make users by one call each."""
    for user in users:
        slurm.sacctmgr("add", "user", user, f"account={account}", f"cluster={slurm.cluster}")


def loaded(slurm: Slurm, account: str, users: Sequence[str]) -> None:
    """Make users from a file, as `sacctmgr dump` writes it."""
    with tempfile.NamedTemporaryFile("w", dir="/var/tmp", suffix=".cfg") as file:
        file.write(f"Cluster - '{slurm.cluster}'\nParent - '{account}'\n")
        file.writelines(f"User - '{user}':DefaultAccount='{account}'\n" for user in users)
        file.flush()
        slurm.sacctmgr("load", file.name)


WAYS: Mapping[str, Callable[[Slurm, str, Sequence[str]], None]] = {
    "list": listed,
    "single": singly,
    "load": loaded,
}


def rate(slurm: Slurm, way: str, number: int) -> float:
    """Return users a second by one of the ways. Ends if not all of them are there afterwards."""
    account = slurm.account()
    users = [f"{account}u{each}" for each in range(number)]
    began = time.perf_counter()
    WAYS[way](slurm, account, users)
    seconds = time.perf_counter() - began
    missing = set(users) - set(slurm.users(account))
    slurm.forget(account)
    if missing:
        sys.exit(f"{way}: {len(missing)} of {number} users are not there")
    return number / seconds


def beside(slurm: Slurm, pairs: int) -> float:
    """Return how long one user takes by the handler, as a part of what the same calls take: the
    median of some pairs. A first one starts what the handler keeps running."""
    account, handler, parts = slurm.account(), slurm.handler(), []
    for pair in range(pairs + 1):
        began = time.perf_counter()
        slurm.by_calls(account, f"{account}c{pair}")
        between = time.perf_counter()
        made(handler, account, [f"{account}h{pair}"])
        parts.append((time.perf_counter() - between) / (between - began))
    slurm.forget(account)
    return statistics.median(parts[1:])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lab", type=Path)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    known = json.loads((options.lab / "lab.json").read_text(encoding="utf-8"))["slurm"]
    slurm = Slurm(known["conf"], known["bin"], known["cluster"])
    numbers = {"list": options.users, "single": options.singles, "load": options.users}
    rates = {way: round(rate(slurm, way, number), 1) for way, number in numbers.items()}
    print(
        json.dumps({**rates, "one user, of the same calls": round(beside(slurm, options.pairs), 2)})
    )


if __name__ == "__main__":
    main()
