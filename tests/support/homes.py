"""Homes on this host, made as the engine makes them, and read as another user."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from handlers.home_directory import HomeDirectory, build
from provisioner.contract import (
    Change,
    Claim,
    Fault,
    Key,
    State,
)
from provisioner.convergence.converge import Outcome
from provisioner.system.directories import RealHost
from provisioner.testing import Ledger, site
from provisioner.testing.fakes import Interrupted, watched

TEMPLATES = Path(__file__).parents[2] / "templates"


JDOE = {"name": "jdoe", "uid": 20001, "gid": 20002}


KEY = "homes/home/jdoe"


ABSENT: State = {"present": False, "path": "/home/jdoe"}


def homes(root: Path, **settings: object) -> HomeDirectory:
    made = site("homes", host=RealHost(), templates=TEMPLATES)
    return build(made, {"root": str(root), **settings})


def bring(handler: HomeDirectory, *params: Mapping[str, object]) -> Ledger:
    """Make homes; none may fail."""
    ledger = Ledger().claim(handler, *params)
    assert faults(ledger.run(handler)) == {}
    return ledger


def faults(outcomes: Mapping[Key, Outcome]) -> dict[Key, str]:
    return {key: str(one.fault) for key, one in outcomes.items() if one.fault is not None}


def fault_of(handler: HomeDirectory, **params: object) -> Fault | None:
    """Try to make jdoe's home, and return its fault."""
    return Ledger().claim(handler, {**JDOE, **params}).run(handler)[KEY].fault


def claims(handler: HomeDirectory) -> Sequence[Claim]:
    return Ledger().claim(handler, JDOE).claims[KEY]


def seen(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def by_user(uid: int, gid: int, *argv: str) -> bool:
    """Return True if another user may do something."""
    done = subprocess.run(
        argv, user=uid, group=gid, extra_groups=[], capture_output=True, check=False
    )
    return done.returncode == 0


def as_user(uid: int, gid: int, look: Path) -> bool:
    """Return True if another user may list a directory."""
    return by_user(uid, gid, "ls", "-A", str(look))


def killed_after(writes: int, ledger: Ledger, handler: HomeDirectory) -> None:
    """Converge, killed before the write after `survived` ones; to the end if there are fewer."""
    left = [writes]

    def count(_: Sequence[Change]) -> None:
        if not left[0]:
            raise Interrupted
        left[0] -= 1

    with suppress(Interrupted):
        ledger.run(watched(handler, count))
