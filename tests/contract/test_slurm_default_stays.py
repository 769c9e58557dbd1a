"""One of several associations goes where slurmdbd 24.11 keeps those with a default account."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import build
from provisioner.contract import Completed, NotReady
from provisioner.convergence.converge import converge
from provisioner.objects.items import Item
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_centres import BIG, CPU, GPU, Centre, change
from tests.support.slurm_sites import Cluster


class As2411:
    """A run of programs that refuses as 24.11.5 does: a default account's association stays."""

    def __init__(self, cluster: Cluster) -> None:
        assert cluster.state is not None
        self.state = cluster.state
        self.refused = 0
        # A command with each of these words fails once, or says nothing.
        self.fails: list[set[str]] = []
        self.mute: list[set[str]] = []

    def __call__(self, argv: Sequence[str], **more: Any) -> Completed:
        for faults_, code in ((self.fails, 1), (self.mute, 0)):
            hit = next((words for words in faults_ if words <= set(argv)), None)
            if hit is not None:
                faults_.remove(hit)
                return Completed(tuple(argv), code, "", "slurmdbd: down" if code else "")
        words = dict(word.partition("=")[::2] for word in argv)
        if "delete" in argv and "partition" in words:
            users = json.loads(self.state.read_text())["users"]
            default = users[words["name"]]["default"].get("a")
            if default == words["account"]:
                self.refused += 1
                said = " Error with request: You can not remove the default account of a user"
                return Completed(tuple(argv), 1, "", said)
        return process.run(argv, **more)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["no other account", "another account"])
@pytest.mark.parametrize("gone", [GPU, CPU])
def test_one_of_several_goes_where_slurm_keeps_a_default_accounts_associations(
    tmp_path: Path, elsewhere: bool, gone: str
) -> None:
    cluster = slurm_sites.emulated(tmp_path, ["main", GPU, CPU, BIG])
    centre = Centre(cluster, "one")
    if elsewhere:
        cluster.admin(["add", "account", "two", "cluster=a"])
        cluster.admin(["add", "user", "one", "cluster=a", "account=two"])
    centre.ask(GPU, CPU, specs="MaxJobs=5")
    centre.run()
    cluster.admin(["modify", "user", "where", "name=one", "cluster=a", "set", "defaultaccount=one"])
    run = As2411(cluster)
    centre.handler = build(replace(slurm_sites.site(), run=run), cluster.settings)
    stays = CPU if gone == GPU else GPU
    centre.ask(stays, specs="MaxJobs=5")
    centre.run()
    assert run.refused
    assert centre.rows() == {stays: "5"}
    assert centre.handler._tools.slurmdbd.users(["one"]).defaults == {"one": "one"}
    assert centre.run().changed == ()


def test_who_has_rights_keeps_them_where_the_association_would_have_to_be_made_again(
    tmp_path: Path,
) -> None:
    cluster = slurm_sites.emulated(tmp_path, ["main", GPU, CPU, BIG])
    centre = Centre(cluster, "one")
    centre.ask(GPU, CPU)
    centre.run()
    assert cluster.state is not None
    users = json.loads(cluster.state.read_text())["users"]
    users["one"]["admin"] = "Operator"
    change(cluster, users=users)
    centre.handler = build(replace(slurm_sites.site(), run=As2411(cluster)), cluster.settings)
    centre.ask(GPU)
    with pytest.raises(AssertionError, match="You can not remove the default account"):
        centre.run()
    assert set(centre.rows()) == {GPU, CPU}


def alone(tmp_path: Path) -> tuple[Centre, As2411]:
    """Give a user with two partitions of their only account, on 24.11."""
    cluster = slurm_sites.emulated(tmp_path, ["main", GPU, CPU, BIG])
    centre = Centre(cluster, "one")
    centre.ask(GPU, CPU, specs="MaxJobs=5")
    centre.run()
    run = As2411(cluster)
    centre.handler = build(replace(slurm_sites.site(), run=run), cluster.settings)
    centre.ask(GPU, specs="MaxJobs=5")
    return centre, run


def test_what_stays_is_not_made_again_with_limits_that_no_request_asks_for(tmp_path: Path) -> None:
    centre, _ = alone(tmp_path)
    centre.admin("modify", "partition=gpu", "set", "fairshare=77")
    item = Item(centre.key, centre.ledger.claims[centre.key])
    [outcome] = converge(centre.handler, [item], centre.ledger.save)
    assert isinstance(outcome.fault, NotReady)
    assert "has limits that no request asks for" in outcome.fault.message
    said = "sacctmgr delete user where name=one cluster=a account=one partition=cpu"
    assert said in outcome.fault.advice
    assert centre.rows() == {GPU: "5", CPU: "0"}
    rows = {
        row.partition: row.limits for row in centre.handler._tools.slurmdbd.associations(["one"])
    }
    assert rows[GPU] == {"MaxJobs": 5, "Fairshare": 77}


def test_what_stays_comes_back_if_adding_it_again_failed_once(tmp_path: Path) -> None:
    centre, run = alone(tmp_path)
    run.fails = [{"add", "user", "partition=gpu"}]
    with pytest.raises(AssertionError):
        centre.run()
    assert centre.rows() == {}
    centre.run()
    assert centre.rows() == {GPU: "5"}
    assert centre.handler._tools.slurmdbd.users(["one"]).defaults == {"one": "one"}


def test_nobody_is_made_again_whose_rights_are_not_shown(tmp_path: Path) -> None:
    centre, run = alone(tmp_path)
    run.mute = [{"withcoord"}] * 99
    with pytest.raises(AssertionError, match="shows no rights of one"):
        centre.run()
    assert centre.rows() == {GPU: "5", CPU: "0"}
