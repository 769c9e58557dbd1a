"""A Slurm handler whose sacctmgr is kept running, and which plain calls it made all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from handlers.slurm.handler import Slurm, build
from handlers.slurm.sacctmgr import Sacctmgr
from provisioner.contract import Completed
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_sites import Cluster

IDLE = 30.0
"""Seconds for which a sacctmgr is kept."""


def kept_running(which: str, tmp_path: Path) -> Cluster:
    """Return a cluster whose sacctmgr is kept running."""
    made = slurm_sites.which(which, tmp_path)
    return replace(made, settings={**made.settings, "sacctmgr_idle": IDLE})


class Watched:
    """The handler. calls: its plain calls; before: is told of each before it is made."""

    def __init__(self, cluster: Cluster, **settings: object) -> None:
        self.cluster = cluster
        self.calls: list[Sequence[str]] = []
        self.before: Callable[[Sequence[str]], None] = lambda _: None
        site = replace(slurm_sites.site(), run=self._run)
        self.handler: Slurm = build(site, {**cluster.settings, **settings})
        slurmdbd = self.handler._tools.slurmdbd
        assert isinstance(slurmdbd, Sacctmgr)
        self.slurmdbd: Sacctmgr = slurmdbd

    def _run(self, argv: Sequence[str], **more: Any) -> Completed:
        self.calls.append(argv)
        self.before(argv)
        return process.run(argv, **more)
