"""Every limit of Slurm, set, read back, changed and cleared, emulated and real."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from handlers._slurm_keys import LIMITS
from handlers._slurm_limits import Limits
from handlers.slurm import Slurm
from provisioner.contract import Claim
from provisioner.converge import Item, converge
from tests.contract import slurm_sites
from tests.contract.slurm_sites import Cluster


@pytest.fixture(
    params=[
        "emulated",
        pytest.param(
            "real",
            marks=[
                pytest.mark.lab,
                pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
            ],
        ),
    ]
)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    return slurm_sites.emulated(tmp_path) if request.param == "emulated" else slurm_sites.real()


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, with two QOS of it, and take out what was made."""
    unique = "limit" + uuid.uuid4().hex[:8]
    tools = cluster.handler()._tools
    tools.write(["add", "qos", f"{unique}a,{unique}b"])
    yield unique
    cluster.forget(unique)
    if cluster.state is None:
        tools.write(["delete", "qos", "where", f"name={unique}a,{unique}b"])


def converged(handler: Slurm, params: Mapping[str, object]) -> tuple[list[str], Limits]:
    """Make it so; return what was changed, and the limits that were read back.

    An object of which what is read back would be changed again has a fault.
    """
    items = [Item(key, (Claim("allocation:1", w),)) for key, w in handler.claims(params).items()]
    (outcome,) = converge(handler, items, lambda _: None)
    assert outcome.fault is None, outcome.fault
    assert outcome.state is not None
    limits = outcome.state["limits"]
    assert isinstance(limits, dict)
    return list(outcome.changed), limits


ROUNDS: list[tuple[str, str, Limits]] = [
    # What is written; what is sent; what is read back of it.
    ("Fairshare=10", "Fairshare=10", {"Fairshare": 10}),
    ("Shares=parent", "Fairshare=parent", {"Fairshare": "parent"}),
    ("Fairshare=0", "Fairshare=0", {"Fairshare": 0}),
    ("Fairshare=2147483646", "Fairshare=2147483646", {"Fairshare": 2147483646}),
    ("Fairshare=-1", "Fairshare=1", {}),
    ("Priority=4", "Priority=4", {"Priority": 4}),
    ("Priority=-1", "Priority=-1", {}),
    ("GrpJobs=010", "GrpJobs=10", {"GrpJobs": 10}),
    ("GrpJobs=-1", "GrpJobs=-1", {}),
    ("GrpJobsAccrue=6", "GrpJobsAccrue=6", {"GrpJobsAccrue": 6}),
    ("GrpJobsAccrue=-1", "GrpJobsAccrue=-1", {}),
    ("GrpSubmit=7", "GrpSubmitJobs=7", {"GrpSubmitJobs": 7}),
    ("GrpSubmitJobs=-1", "GrpSubmitJobs=-1", {}),
    ("GrpWall=90:30", "GrpWall=01:31:00", {"GrpWall": 91}),
    ("GrpWall=100:00:00", "GrpWall=4-04:00:00", {"GrpWall": 6000}),
    ("GrpWall=UNLIMITED", "GrpWall=-1", {}),
    ("MaxJobs=0", "MaxJobs=0", {"MaxJobs": 0}),
    ("MaxJobs=2147483647", "MaxJobs=2147483647", {"MaxJobs": 2147483647}),
    ("MaxJobs=-1", "MaxJobs=-1", {}),
    ("MaxJobsAccrue=5", "MaxJobsAccrue=5", {"MaxJobsAccrue": 5}),
    ("MaxJobsAccrue=-1", "MaxJobsAccrue=-1", {}),
    ("MaxSubmitJobs=8", "MaxSubmitJobs=8", {"MaxSubmitJobs": 8}),
    ("MaxSubmitJobs=-1", "MaxSubmitJobs=-1", {}),
    ("MaxWall=24:00:00", "MaxWall=1-00:00:00", {"MaxWall": 1440}),
    ("MaxWall=01:30:30", "MaxWall=01:31:00", {"MaxWall": 91}),
    ("MaxWallDurationPerJob=240", "MaxWall=04:00:00", {"MaxWall": 240}),
    ("MaxWall=35791393", "MaxWall=24855-03:13:00", {"MaxWall": 35791393}),
    ("MaxWall=0", "MaxWall=00:00:00", {"MaxWall": 0}),
    ("MaxWall=-1", "MaxWall=-1", {}),
    ("MinPrioThresh=3", "MinPrioThresh=3", {"MinPrioThresh": 3}),
    ("MinPrioThresh=-1", "MinPrioThresh=-1", {}),
    # Resources: each has a limit of its own.
    ("GrpTRES=cpu=64,mem=1G", "GrpTRES=cpu=64,mem=1G", {"GrpTRES/cpu": 64, "GrpTRES/mem": 1024}),
    ("GrpTRES=mem=1536G", "GrpTRES=mem=1536G", {"GrpTRES/cpu": 64, "GrpTRES/mem": 1572864}),
    ("GrpTRES=mem=1.50T", "", {"GrpTRES/cpu": 64, "GrpTRES/mem": 1572864}),
    ("GrpMemory=2049", "GrpTRES=mem=2049M", {"GrpTRES/cpu": 64, "GrpTRES/mem": 2049}),
    ("GrpTRES=cpu=-1", "GrpTRES=cpu=-1", {"GrpTRES/mem": 2049}),
    ("GrpNodes=4", "GrpTRES=node=4", {"GrpTRES/mem": 2049, "GrpTRES/node": 4}),
    ("GrpTRES=-1", "GrpTRES=mem=-1,node=-1", {}),
    ("GrpCPUs=3", "GrpTRES=cpu=3", {"GrpTRES/cpu": 3}),
    ("GrpTRES=cpu=0", "GrpTRES=cpu=0", {"GrpTRES/cpu": 0}),
    ("GrpTRES=-1:GrpTRES=node=1K", "GrpTRES=cpu=-1,node=1024", {"GrpTRES/node": 1024}),
    ("GrpTRES=node=-1", "GrpTRES=node=-1", {}),
    ("GrpTRESMins=cpu=1M", "GrpTRESMins=cpu=1048576", {"GrpTRESMins/cpu": 1048576}),
    ("GrpCPUMins=5", "GrpTRESMins=cpu=5", {"GrpTRESMins/cpu": 5}),
    (
        "GrpTRESMins=cpu=9223372036854775807",
        "GrpTRESMins=cpu=9223372036854775807",
        {"GrpTRESMins/cpu": 9223372036854775807},
    ),
    ("GrpTRESMins=cpu=-1", "GrpTRESMins=cpu=-1", {}),
    ("GrpTRESRunMins=cpu=7", "GrpTRESRunMins=cpu=7", {"GrpTRESRunMins/cpu": 7}),
    ("GrpTRESRunMins=-1", "GrpTRESRunMins=cpu=-1", {}),
    ("MaxTRESPerJob=cpu=6", "MaxTRES=cpu=6", {"MaxTRES/cpu": 6}),
    ("MaxNodes=2", "MaxTRES=node=2", {"MaxTRES/cpu": 6, "MaxTRES/node": 2}),
    ("MaxTRES=-1", "MaxTRES=cpu=-1,node=-1", {}),
    ("MaxTRESPN=cpu=8", "MaxTRESPerNode=cpu=8", {"MaxTRESPerNode/cpu": 8}),
    ("MaxTRESPerNode=-1", "MaxTRESPerNode=cpu=-1", {}),
    ("MaxTRESMinsPerJob=cpu=5", "MaxTRESMins=cpu=5", {"MaxTRESMins/cpu": 5}),
    ("MaxTRESMins=-1", "MaxTRESMins=cpu=-1", {}),
    ("MaxTRESRunMins=cpu=10", "MaxTRESRunMins=cpu=10", {"MaxTRESRunMins/cpu": 10}),
    ("MaxTRESRunMins=-1", "MaxTRESRunMins=cpu=-1", {}),
    ("MaxTRES=mem=1023P", "MaxTRES=mem=1023P", {"MaxTRES/mem": 1023 * 1024**3}),
    ("MaxTRES=-1", "MaxTRES=mem=-1", {}),
    # QOS: those of a cluster are inherited, and never printed.
    ("QOS+=@a", "QOS+=@a", {"QOS+": "@a"}),
    ("QOS='+@b'", "QOS+=@b", {"QOS+": "@a,@b"}),
    ("QOS-=@b", "QOS-=@b", {"QOS+": "@a", "QOS-": "@b"}),
    ("QOS=+@b,-@a", "QOS+=@b QOS-=@a", {"QOS+": "@b", "QOS-": "@a"}),
    ("QOS=@b", "QOS=@b", {"QOS": "@b"}),
    ("QOS+=@a", "QOS+=@a", {"QOS": "@a,@b"}),
    ("QOS-=@b", "QOS-=@b", {"QOS": "@a"}),
    ("QOS=@a:QOS+=@b", "QOS=@a,@b", {"QOS": "@a,@b"}),
    ("DefaultQOS=@a", "DefaultQOS=@a", {"QOS": "@a,@b", "DefaultQOS": "@a"}),
    ("DefaultQOS=-1", "DefaultQOS=-1", {"QOS": "@a,@b"}),
    ("QOS=", "QOS=", {}),
]  # fmt: skip
"""One after the other, each over what the ones before it left. @ is a test's own name."""


def test_the_table_sets_and_clears_every_limit() -> None:
    changed = {place.partition("/")[0].rstrip("+-") for _, _, seen in ROUNDS for place in seen}
    assert changed == set(LIMITS)
    assert ROUNDS[-1][2] == {}


@pytest.mark.parametrize("user", [False, True], ids=["account", "user"])
def test_every_limit_is_set_read_back_changed_and_cleared(
    cluster: Cluster, name: str, user: bool
) -> None:
    """Everything that an account hands down is set above, and changes nothing."""
    handler = cluster.handler()
    above = {"account": name + "up", "specs": f"MaxJobs=77:MaxTRES=cpu=77:MaxWall=77:QOS={name}b"}
    params: dict[str, object] = {"account": name, "parent": above["account"]}
    for some in (above, params):
        converged(handler, some)
    if user:
        params = {"account": name, "user": name}
        converged(handler, params)
    for written, sent, seen in ROUNDS:
        some = {**params, "specs": written.replace("@", name)}
        changed, limits = converged(handler, some)
        assert [one.rpartition(": ")[2].replace(", ", " ") for one in changed] == (
            [sent.replace("@", name)] if sent else []
        ), written
        wanted = {k: v.replace("@", name) if isinstance(v, str) else v for k, v in seen.items()}
        assert limits == wanted, written
