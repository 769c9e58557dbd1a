"""What others had set of an account before us comes back, also where it was closed in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, changes, faults, limits_of
from tests.support.slurm_sites import Cluster


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours."""
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, and take out what was made under it."""
    yield from slurm_sites.own_name(cluster)


def test_a_limit_that_closing_uses_comes_back_where_it_was_first_claimed_while_closed(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key, plain = f"slurm-a/account/{name}", account(name, adopt=True)
    where = [f"cluster={cluster.settings['cluster']}", "GrpJobs=9", "MaxWall=77"]
    cluster.admin(["add", "account", name, *where])
    ledger.want(handler, "allocation:1", plain)
    assert faults(ledger.run(handler)) == {}
    ledger.suspend(True)
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {**plain, "specs": "GrpJobs=4:MaxWall=10"})
    limits = limits_of(ledger.run(handler), key, "GrpJobs", "MaxWall")
    assert limits == [4, 10]
    ledger.want(handler, "allocation:1", plain)
    limits = limits_of(ledger.run(handler), key, "GrpJobs", "MaxWall")
    assert limits == [9, 77]


def test_one_limit_of_a_lock_that_others_set_since_stays_and_the_other_comes_back(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key, plain = f"slurm-a/account/{name}", account(name, adopt=True)
    where = f"cluster={cluster.settings['cluster']}"
    cluster.admin(["add", "account", name, where, "GrpJobs=9"])
    ledger.want(handler, "allocation:1", plain)
    ledger.run(handler)
    ledger.suspend(True)
    assert limits_of(ledger.run(handler), key, "GrpJobs", "GrpSubmitJobs") == [0, 0]
    which = ["where", f"name={name}", where]
    cluster.admin(["modify", "account", *which, "set", "GrpSubmitJobs=100"])
    ledger.suspend(False)
    assert limits_of(ledger.run(handler), key, "GrpJobs", "GrpSubmitJobs") == [9, 100]


def test_a_limit_of_0_that_an_admin_has_set_of_an_open_account_stays(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key, where = f"slurm-a/account/{name}", f"cluster={cluster.settings['cluster']}"
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    cluster.admin(["modify", "account", "where", f"name={name}", where, "set", "GrpJobs=0"])
    outcomes = ledger.run(handler)
    assert (changes(outcomes), limits_of(outcomes, key, "GrpJobs")) == ([], [0])


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a second claim"])
def test_an_admin_s_limits_come_back_after_everybody_had_left_and_somebody_returned(
    cluster: Cluster, name: str, again: bool
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key, plain = f"slurm-a/account/{name}", account(name, adopt=True)
    where = [f"cluster={cluster.settings['cluster']}", "GrpJobs=9", "MaxWall=77"]
    cluster.admin(["add", "account", name, *where])
    limited = {**plain, "specs": "GrpJobs=4:MaxWall=10"}
    ledger.want(handler, "allocation:1", limited)
    assert limits_of(ledger.run(handler), key, "GrpJobs", "MaxWall") == [4, 10]
    ledger.claims = {key: ()}
    assert limits_of(ledger.run(handler), key, "GrpJobs", "MaxWall") == [0, 10]
    if again:
        ledger.want(handler, "allocation:2", limited)
        assert limits_of(ledger.run(handler), key, "GrpJobs", "MaxWall") == [4, 10]
    ledger.want(handler, "allocation:2", plain)
    assert limits_of(ledger.run(handler), key, "GrpJobs", "MaxWall") == [9, 77]
