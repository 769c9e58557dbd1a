"""Several allocations on one Slurm account, and what one of them leaves out: emulated and real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from handlers.slurm.handler import Slurm, build
from provisioner.contract import Key
from provisioner.convergence.converge import Outcome
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, faults
from tests.support.slurm_sites import Cluster

QOS = ("debug", "viz", "long")


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, with three QOS of it, and take out what was made."""
    yield from slurm_sites.own_name(cluster, *QOS)


class Shared:
    """One account that several allocations claim, with one user in it."""

    def __init__(self, cluster: Cluster, name: str, **settings: object) -> None:
        self.cluster, self.name = cluster, name
        self.handler: Slurm = build(slurm_sites.site(), {**cluster.settings, **settings})
        self.ledger = Ledger()

    def ask(self, number: int, specs: str = "", user_specs: str = "") -> None:
        """Let an allocation ask; `QOS=debug` stands for this test's own."""
        for one in QOS:
            specs = specs.replace(one, self.name + one)
        about = {"account": self.name, "description": "shared"}
        own = {"account": self.name, "user": f"{self.name}u", "specs": user_specs or None}
        claimant = f"allocation:{number}"
        self.ledger.want(self.handler, claimant, {**about, "specs": specs or None}, own)

    def run(self) -> list[str]:
        """Converge, and once more, which must write nothing; return what was written."""
        written: list[str] = []
        for _ in range(2):  # the users come after the account
            outcomes = self.ledger.run(self.handler)
            written += [text for one in outcomes.values() for text in one.changed]
        outcomes = self.ledger.run(self.handler)
        assert faults(outcomes) == {}
        assert [one.changed for one in outcomes.values()] == [(), ()]
        self.outcomes: Mapping[Key, Outcome] = outcomes
        return written

    def limits(self, user: bool = False) -> Mapping[str, object]:
        key = f"slurm-a/assoc/{self.name}/{self.name}u" if user else f"slurm-a/account/{self.name}"
        state = self.outcomes[key].state
        assert state is not None
        limits = state["limits"]
        assert isinstance(limits, Mapping)
        return {p: str(v).replace(self.name, "") if "QOS" in p else v for p, v in limits.items()}

    def by_hand(self, *words: str) -> None:
        """Do as an admin does."""
        where = [
            "where",
            f"name={self.name}",
            f"cluster={self.cluster.settings['cluster']}",
            "set",
        ]
        self.cluster.admin(["modify", "account", *where, *words])


def test_the_larger_limit_counts_whatever_the_numbers_of_allocations_look_like_as_text(
    cluster: Cluster, name: str
) -> None:
    shared = Shared(cluster, name)
    shared.ask(9, "GrpTRES=cpu=100:MaxJobs=5")
    shared.ask(10, "GrpTRES=cpu=50:MaxJobs=7:GrpTRES=node=2")
    shared.run()
    assert shared.limits() == {"GrpTRES/cpu": 100, "GrpTRES/node": 2, "MaxJobs": 7}


@pytest.mark.parametrize("cluster", slurm_sites.BY_SACCTMGR, indirect=True)
def test_who_sets_and_who_adds_do_not_write_in_turn(cluster: Cluster, name: str) -> None:
    shared = Shared(cluster, name)
    shared.ask(9, "QOS=debug")
    shared.ask(10, "QOS=viz")
    shared.ask(90, "QOS+=long")
    shared.run()
    assert shared.limits() == {"QOS": "debug,long,viz"}
    shared.ask(90)
    shared.ask(9)
    shared.run()
    assert shared.limits() == {"QOS": "viz"}


def test_a_site_may_have_limits_added_up(cluster: Cluster, name: str) -> None:
    shared = Shared(cluster, name, merge={"GrpTRES": "sum"})
    shared.ask(9, "GrpTRES=cpu=100")
    shared.ask(10, "GrpTRES=cpu=50")
    shared.run()
    assert shared.limits() == {"GrpTRES/cpu": 150}


def test_what_no_rule_settles_stays_as_it_was_and_the_user_gets_in(
    cluster: Cluster, name: str
) -> None:
    shared = Shared(cluster, name, merge={"MaxJobs": "conflict"})
    shared.ask(9, "MaxJobs=5")
    shared.run()
    shared.ask(10, "MaxJobs=7:GrpJobs=3")
    shared.run()
    assert shared.limits() == {"MaxJobs": 5, "GrpJobs": 3}
    assert shared.limits(user=True) == {}
    shared.ask(9)
    shared.ask(10)
    shared.run()
    assert shared.limits() == {}


@pytest.mark.parametrize("cluster", slurm_sites.BY_SACCTMGR, indirect=True)
def test_limits_that_are_left_out_go_and_what_an_admin_set_stays(
    cluster: Cluster, name: str
) -> None:
    shared = Shared(cluster, name)
    shared.ask(1, "GrpTRES=cpu=64,mem=100G:MaxJobs=10:Fairshare=7:QOS=long", "MaxJobs=5")
    shared.run()
    shared.by_hand("GrpJobs=11", "MaxJobs=12")
    shared.ask(1, "GrpTRES=cpu=64:MaxJobs=12")
    shared.run()
    assert shared.limits() == {"GrpTRES/cpu": 64, "GrpJobs": 11, "MaxJobs": 12}
    assert shared.limits(user=True) == {}
    shared.ask(1)
    shared.run()
    assert shared.limits() == {"GrpJobs": 11}


def test_limits_that_an_admin_had_set_come_back(cluster: Cluster, name: str) -> None:
    shared = Shared(cluster, name)
    shared.ask(1)
    shared.run()
    shared.by_hand("GrpTRES=cpu=8", "Fairshare=3", f"QOS={name}viz")
    before = shared.run() or shared.limits()
    shared.ask(1, "GrpTRES=cpu=64:Fairshare=7:QOS=long:MaxWall=60")
    shared.run()
    assert shared.limits() == {"GrpTRES/cpu": 64, "Fairshare": 7, "QOS": "long", "MaxWall": 60}
    shared.ask(1)
    shared.run()
    assert shared.limits() == before == {"GrpTRES/cpu": 8, "Fairshare": 3, "QOS": "viz"}


@pytest.mark.parametrize("cluster", slurm_sites.BY_SACCTMGR, indirect=True)
def test_a_qos_that_was_added_goes_and_one_that_an_admin_added_stays(
    cluster: Cluster, name: str
) -> None:
    shared = Shared(cluster, name)
    shared.ask(1, "QOS+=debug")
    shared.run()
    assert shared.limits() == {"QOS+": "debug"}
    shared.by_hand(f"QOS+={name}viz")
    shared.ask(1)
    shared.run()
    assert shared.limits() == {"QOS+": "viz"}


def test_what_is_left_out_while_it_is_closed_goes_when_it_opens(
    cluster: Cluster, name: str
) -> None:
    shared = Shared(cluster, name)
    shared.ask(1, "GrpJobs=9:MaxWall=60", "MaxJobs=5")
    shared.run()
    shared.ledger.suspend(True)
    shared.run()
    shared.ask(1)
    shared.ledger.suspend(True)
    shared.run()
    assert shared.limits()["MaxWall"] == 60
    shared.ledger.suspend(False)
    shared.run()
    assert (shared.limits(), shared.limits(user=True)) == ({}, {})


def test_what_is_first_asked_for_when_it_opens_does_not_go_back_to_the_lock(
    cluster: Cluster, name: str
) -> None:
    shared = Shared(cluster, name)
    shared.ask(1)
    shared.run()
    shared.ledger.suspend(True)
    shared.run()
    shared.ask(1, "GrpJobs=9", "MaxJobs=5")
    shared.ledger.suspend(False)
    shared.run()
    assert (shared.limits(), shared.limits(user=True)) == ({"GrpJobs": 9}, {"MaxJobs": 5})
    shared.ask(1)
    shared.run()
    assert (shared.limits(), shared.limits(user=True)) == ({}, {})
