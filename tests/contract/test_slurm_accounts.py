"""Accounts in Slurm that are written in another case, or that somebody deletes by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, faults
from tests.support.slurm_sites import Cluster


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours."""
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, and take out what was made under it."""
    yield from slurm_sites.own_name(cluster)


def test_an_account_is_one_whatever_its_case(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name.upper()))
    ledger.want(handler, "allocation:2", account(name))
    assert set(ledger.claims) == {f"slurm-a/account/{name}"}
    assert faults(ledger.run(handler)) == {}
    ledger.want(handler, "allocation:1", {"account": name.upper(), "user": name})
    assert faults(ledger.run(handler)) == {}
    assert [row.user for row in handler._tools.slurmdbd.associations([name])] == ["", name]


def test_an_account_that_an_admin_deleted_comes_back_with_its_users(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name, specs="MaxJobs=3"))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": name, "user": name, "specs": "MaxJobs=2"})
    assert faults(ledger.run(handler)) == {}
    delete_account(cluster, name)
    assert handler._tools.slurmdbd.associations([name]) == []
    for _ in range(2):  # A user waits for the account.
        outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    found = {
        row.user: row.limits["MaxJobs"] for row in handler._tools.slurmdbd.associations([name])
    }
    assert found == {"": 3, name: 2}


def delete_account(cluster: Cluster, name: str) -> None:
    """Delete an account with its users, as an admin does by hand."""
    if cluster.state is None:
        cluster.admin(["delete", "account", "where", f"name={name}"])
        return
    kept = json.loads(cluster.state.read_text())
    kept["assocs"] = [row for row in kept["assocs"] if row["account"] != name]
    del kept["accounts"][name], kept["users"][name]
    cluster.state.write_text(json.dumps(kept))
