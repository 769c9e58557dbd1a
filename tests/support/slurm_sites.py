"""Slurm, emulated and real: the clusters for the contract suite of the `slurm` handler."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from handlers.emulators.slurm import programs as emulator
from handlers.emulators.slurm import slurmrestd
from handlers.slurm.handler import Slurm, build
from handlers.slurm.programs import Programs
from handlers.slurm.sacctmgr import Sacctmgr
from provisioner.contract import Site
from provisioner.routing import expressions
from provisioner.system import process


@dataclass(frozen=True)
class Cluster:
    """One cluster for which a handler can be built. state: the emulator's file, or None."""

    settings: Mapping[str, object]
    state: Path | None = None

    @property
    def by_rest(self) -> bool:
        """Return True if the handler asks slurmrestd."""
        return self.settings.get("transport") == "rest"

    @property
    def secrets(self) -> Mapping[str, str]:
        """Return the secrets that the settings name: tests name each by its file."""
        token = self.settings.get("token")
        return {str(token): _read(str(token))} if token else {}

    def handler(self) -> Slurm:
        """Build a handler again, as after a restart."""
        return build(site(), self.settings)

    def admin(self, words: Sequence[str]) -> None:
        """Run sacctmgr as an admin does."""
        self.sacctmgr().write(words)

    def sacctmgr(self) -> Sacctmgr:
        """Return what an admin has, whichever way the handler takes."""
        conf = self.settings.get("slurm_conf")
        programs = Programs(process.run, {"SLURM_CONF": str(conf)} if conf else {}, 60.0)
        words = cast(Sequence[str], self.settings["sacctmgr"])
        return Sacctmgr(programs, str(self.settings["cluster"]), words)

    def forget(self, name: str) -> None:
        """Remove from a real slurmdbd what a test made: users who resolve nowhere slow it down."""
        if self.state is not None:
            return
        slurmdbd = self.handler()._tools.slurmdbd
        rows = [row for row in slurmdbd.associations(()) if name in row.account]
        users = sorted({row.user for row in rows if row.user})
        accounts = sorted({row.account for row in rows})
        if users:
            self.admin(["delete", "user", "where", f"name={','.join(users)}"])
        if accounts:
            self.admin(["delete", "account", "where", f"name={','.join(accounts)}"])


def site() -> Site:
    """Return what a handler is built with."""
    return Site(
        instance="slurm-a",
        service="test",
        run=process.run,
        host=None,  # type: ignore[arg-type]
        render=expressions.render_text,
        template=Path,
        secret=_read,
    )


def emulated(directory: Path, partitions: Sequence[str] = ("main",)) -> Cluster:
    """Make an emulated slurmdbd with clusters a and b, which have some partitions."""
    programs = emulator.install(directory)
    state = directory / "slurmdbd.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "partitions": [*partitions]}))
    tools = {name: [str(programs / name)] for name in emulator.PROGRAMS}
    # A few of the suites are about sessions; the others would start them for nothing.
    return Cluster({"cluster": "a", "sacctmgr_idle": 0, **tools}, state)


def by_rest(directory: Path, partitions: Sequence[str] = ("main",), **more: Any) -> Cluster:
    """Make an emulated slurmdbd that the handler reaches by an emulated slurmrestd."""
    cluster = emulated(directory, partitions)
    assert cluster.state is not None
    served = slurmrestd.Settings(cluster.state, **more)
    address = _SERVED.enter_context(slurmrestd.serving(directory / "slurmrestd", served))
    rest = {"transport": "rest", "slurmrestd": address}
    return replace(cluster, settings={**cluster.settings, **rest})


_SERVED = ExitStack()


def close() -> None:
    """End every emulated slurmrestd."""
    _SERVED.close()


def past(
    cluster: Cluster, *, purged: str = "NONE", jobs: Sequence[str] = (), **days: float
) -> None:
    """Let people have had jobs that ended so many days ago; jobs: who has one that runs."""
    assert cluster.state is not None
    kept = json.loads(cluster.state.read_text())
    ended = [{"user": u, "end": str(int(time.time() - ago * 86400))} for u, ago in days.items()]
    runs = [{"user": user, "account": "a"} for user in jobs]
    cluster.state.write_text(json.dumps({**kept, "past": ended, "jobs": runs, "purged": purged}))


def real() -> Cluster:
    """Return the lab's cluster."""
    slurm = lab()["slurm"]
    # The suite's users resolve nowhere, so what slurmctld holds of them is not asked.
    return Cluster(
        {
            "cluster": slurm["cluster"],
            "slurm_conf": slurm["conf"],
            "timeout": 60,
            # Each test builds handlers, and slurmdbd serves a hundred connections.
            "sacctmgr_idle": 0,
            "sacctmgr": [program("sacctmgr")],
            "scontrol": [],
            "squeue": [program("squeue")],
            "sacct": [program("sacct")],
        }
    )


def lab() -> Mapping[str, Any]:
    """Return what the lab reports about itself: deploy/lab/README.md."""
    settings: dict[str, Any] = json.loads(
        Path(os.environ["PROVISIONER_LAB"], "lab.json").read_text(encoding="utf-8")
    )
    return settings


def program(name: str) -> str:
    """Return a client of the lab's Slurm, from the lab's own Debian."""
    return str(Path(lab()["slurm"].get("bin", ""), name))


def real_by_rest() -> Cluster:
    """Return the lab's cluster, which the handler reaches by the lab's slurmrestd."""
    rest = lab()["slurm"]["slurmrestd"]
    more = {"transport": "rest", "slurmrestd": rest["address"], "token": rest["token_file"]}
    cluster = real()
    return replace(cluster, settings={**cluster.settings, **more})


def _read(path: str) -> str:
    """Read a secret, which tests name by its file."""
    return Path(path).read_text(encoding="utf-8").strip()


_MAKERS: Mapping[str, Callable[[Path, Sequence[str]], Cluster]] = {
    "emulated": emulated,
    "emulated by rest": by_rest,
    "real": lambda *_: real(),
    "real by rest": lambda *_: real_by_rest(),
}

TRANSPORTS = os.environ.get("PROVISIONER_SLURM_TRANSPORTS", "sacctmgr").split(",")
"""The ways to slurmdbd over which each suite runs; in `make matrix` all."""


def has_slurmrestd() -> bool:
    """Return True if the lab has one that the service can use, or there is no lab."""
    return "PROVISIONER_LAB" not in os.environ or bool(lab()["slurm"].get("slurmrestd"))


def _params(*ways: str, kinds: Sequence[str] = ("emulated", "real")) -> list[Any]:
    marks = [
        pytest.mark.lab,
        pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
    ]
    names = [
        f"{kind}{' by rest' if way == 'rest' else ''}"
        for way in ways
        for kind in kinds
        if (kind, way) != ("real", "rest") or has_slurmrestd()
    ]
    return [pytest.param(name, marks=marks if name.startswith("real") else ()) for name in names]


BOTH = _params(*TRANSPORTS)
"""The clusters of a suite, as parameters of a fixture; a real one bears its marker."""

REAL = _params(*TRANSPORTS, kinds=["real"])
"""The same, without an emulated one."""

BY_SACCTMGR = _params("sacctmgr")
"""The same, for what slurmrestd cannot do."""

ALL = BOTH if "rest" in TRANSPORTS else [*BOTH, "emulated by rest"]
"""The same, and by an emulated slurmrestd in any case: for the suite that goes first."""


def which(one: str, directory: Path, partitions: Sequence[str] = ("main",)) -> Cluster:
    """Return the cluster that a parameter names. partitions: of the emulated one."""
    return _MAKERS[one](directory, partitions)


def own_name(cluster: Cluster, *qos: str) -> Iterator[str]:
    """Yield a name that nobody had before, and remove what was made under it. qos: suffixes of the
    names of QOS that are made with it; they stay, because to delete one makes slurmdbd write the
    associations of everybody."""
    unique = "t" + uuid.uuid4().hex[:10]
    if qos:
        made = ",".join(unique + one for one in qos)
        cluster.admin(["add", "qos", made])
    yield unique
    cluster.forget(unique)
