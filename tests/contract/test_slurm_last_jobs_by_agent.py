"""When people last had a job, by an agent with the shipped configuration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.emulators.slurm.programs import PROGRAMS
from handlers.slurm.handler import Slurm, build
from provisioner.agent.client import runner
from provisioner.contract import Permanent, Unavailable
from tests.support import agent_sites, slurm_sites
from tests.support.acls import AS_ROOT
from tests.support.slurm_sites import past

pytestmark = AS_ROOT

DAY = 86400.0


class ByAnAgent:
    """A cluster of which an agent with the shipped configuration runs the programs."""

    def __init__(self, directory: Path, **replaced: str) -> None:
        self.cluster = slurm_sites.emulated(directory)
        bins = {name: str(directory / "bin" / name) for name in PROGRAMS}
        places = {f"/usr/bin/{name}": path for name, path in bins.items()}
        self._run = runner({"agent": agent_sites.shipped(directory, {**places, **replaced})})
        self.words = {name: ["agent", name] for name in PROGRAMS}

    def handler(self) -> Slurm:
        return build(replace(slurm_sites.site(), run=self._run), {"cluster": "a", **self.words})

    def used(self, days: float = 180) -> Mapping[str, float]:
        now = time.time()
        return self.handler().last_used(now - days * DAY, now).last


def test_an_agent_as_it_is_shipped_answers(tmp_path: Path) -> None:
    by_agent = ByAnAgent(tmp_path)
    past(by_agent.cluster, ann=170, bob=31)
    assert {name: round((time.time() - at) / DAY) for name, at in by_agent.used().items()} == {
        "ann": 170,
        "bob": 31,
    }


def test_an_agent_whose_configuration_lacks_the_form_of_times_is_told_of_it(
    tmp_path: Path,
) -> None:
    by_agent = ByAnAgent(tmp_path, **{'environment = {SLURM_TIME_FORMAT = "%s"}': ""})
    past(by_agent.cluster, ann=170, bob=31)
    with pytest.raises(Unavailable, match="prints the time") as told:
        by_agent.used()
    assert "an agent needs it in the `environment` of the tool" in told.value.advice


MONTH = ["-X", "-n", "-P", "--allusers", "--clusters=a", "--starttime=now-30days"]


@pytest.mark.parametrize(
    "words",
    [
        [*MONTH, "--format=User,End,JobName"],
        [*MONTH, "--format=ALL"],
        [word.replace("=a", "=b") for word in MONTH] + ["--format=User,End"],
        [*MONTH, "--endtime=now", "--format=User,End"],
        [*MONTH, "--file=/etc/shadow", "--format=User,End"],
        ["--allusers", "--long"],
    ],
    ids=" ".join,
)
def test_an_agent_as_it_is_shipped_tells_nothing_else_of_jobs(
    tmp_path: Path, words: list[str]
) -> None:
    with pytest.raises(Permanent, match="may not be run as"):
        ByAnAgent(tmp_path)._run(["agent", "sacct", *words])
