"""Crowds of new users into one account of Slurm, batch by batch: the look that reads one batch back
goes before the next one, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm import lately
from handlers.slurm.handler import Slurm, build
from handlers.slurm.slurmdbd import FILTER
from provisioner.contract import Claim, Completed
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_sites import Cluster

CROWD = FILTER + 1


class Centre:
    """An emulated cluster with the account `cf1`, and what its handler asked and wrote."""

    def __init__(self, root: Path) -> None:
        self.cluster: Cluster = slurm_sites.emulated(root)
        self.cluster.admin(["add", "account", "cf1", "cluster=a"])
        self.calls: list[str] = []
        site = replace(slurm_sites.site(), run=self._run)
        self.handler: Slurm = build(site, self.cluster.settings)

    def _run(self, argv: Sequence[str], **more: Any) -> Completed:
        words = [word for word in argv if word in {"assoc", "add", "modify", "delete"}]
        self.calls += words[:1]
        return process.run(argv, **more)

    def add(self, first: int, **wanted: object) -> list[Outcome]:
        """Add a crowd, as a lane does with a batch. wanted: more of each one's parameters."""
        some = range(first, first + CROWD)
        params = [{"account": "cf1", "user": f"u{number:04}", **wanted} for number in some]
        wants = [self.handler.claims(one) for one in params]
        items = [Item(key, (Claim("x", want),)) for one in wants for key, want in one.items()]
        return converge(self.handler, items, lambda _: None)


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Centre:
    monkeypatch.setattr(lately, "MOMENT", 3600.0)
    return Centre(tmp_path)


def test_a_batch_of_new_users_is_looked_for_by_what_read_the_last_one_back(centre: Centre) -> None:
    outcomes = centre.add(0) + centre.add(CROWD)
    assert [one.fault for one in outcomes] == [None] * 2 * CROWD
    assert centre.calls == ["assoc", "add", "assoc", "add", "assoc"]


def test_a_batch_with_somebody_who_is_there_is_looked_for_anew(centre: Centre) -> None:
    centre.cluster.admin(["add", "user", f"u{CROWD:04}", "cluster=a", "account=cf1"])
    outcomes = centre.add(0) + centre.add(CROWD, specs="MaxJobs=3")
    assert [one.fault for one in outcomes] == [None] * 2 * CROWD
    assert centre.calls[:4] == ["assoc", "add", "assoc", "assoc"]


def test_whom_somebody_else_adds_in_between_is_as_wanted_all_the_same(centre: Centre) -> None:
    centre.add(0)
    centre.cluster.admin(["add", "user", f"u{CROWD:04}", "cluster=a", "account=cf1"])
    outcomes = centre.add(CROWD, specs="MaxJobs=3")
    assert [one.fault for one in outcomes] == [None] * CROWD
    limits = [(one.state or {}).get("limits") for one in outcomes]
    assert limits == [{"MaxJobs": 3}] * CROWD
