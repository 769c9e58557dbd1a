"""Associations with partitions and without, side by side, in emulated and real Slurm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import Slurm, build
from provisioner.contract import Completed, InvalidRequest, Key, NotReady, Permanent
from provisioner.convergence.converge import Outcome, converge, dry_run
from provisioner.objects.items import Item
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, changes, faults
from tests.support.slurm_sites import Cluster

GPU, CPU, BIG, ANY = "gpu", "cpu", "big", ""


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours, and the partitions gpu, cpu and big."""
    return slurm_sites.which(request.param, tmp_path, ["main", GPU, CPU, BIG])


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, and take out what was made under it."""
    yield from slurm_sites.own_name(cluster)


def change(cluster: Cluster, **values: object) -> None:
    """Change what an emulated slurmdbd keeps."""
    assert cluster.state is not None
    cluster.state.write_text(json.dumps({**json.loads(cluster.state.read_text()), **values}))


class Centre:
    """An account and a user in it, both of one name, and what has been asked for."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.handler = cluster.handler()
        self.ledger = Ledger()
        self.identity: dict[Key, Mapping[str, object]] = {}
        self.key = f"slurm-a/assoc/{name}/{name}"
        self.ledger.want(self.handler, "allocation:1", account(name))
        assert faults(self.ledger.run(self.handler)) == {}
        self.ledger.claims = {}

    def admin(self, *words: str) -> None:
        """Run sacctmgr as an admin does; `add` and `modify` are about the user in the account."""
        where = [f"cluster={self.cluster.settings['cluster']}", f"account={self.name}"]
        if words[0] == "add":
            self.handler._tools.write(["add", "user", self.name, *where, *words[1:]])
        else:
            self.handler._tools.write(
                ["modify", "user", "where", f"name={self.name}", *where, *words[1:]]
            )

    def ask(self, *partitions: str, claimant: str = "allocation:1", **more: object) -> None:
        params = {"account": self.name, "user": self.name, "partitions": partitions, **more}
        self.ledger.want(self.handler, claimant, params)

    def leave(self) -> None:
        self.ledger.claims[self.key] = ()

    def run(self) -> Outcome:
        """Converge the user, as the engine does: what was last as wanted is kept."""
        item = Item(
            self.key,
            self.ledger.claims[self.key],
            self.ledger.priors.get(self.key),
            identity=self.identity.get(self.key),  # type: ignore[arg-type]
        )
        [outcome] = converge(self.handler, [item], self.ledger.save)
        assert outcome.fault is None, outcome.fault
        if outcome.identity is not None:
            self.identity[self.key] = outcome.identity
        return outcome

    def rows(self) -> dict[str, str]:
        """Give the user's associations, and how many jobs each may run."""
        rows = self.handler._tools.associations([self.name])
        return {row.partition: str(row.limits.get("MaxJobs", "")) for row in rows if row.user}


@pytest.fixture
def centre(cluster: Cluster, name: str) -> Centre:
    return Centre(cluster, name)


def test_a_request_with_partitions_makes_these_and_a_second_run_writes_nothing(
    centre: Centre,
) -> None:
    centre.ask(GPU, CPU, specs="MaxJobs=5")
    centre.run()
    assert centre.rows() == {GPU: "5", CPU: "5"}
    assert centre.run().changed == ()


def test_who_has_partitions_alone_keeps_them_when_a_request_names_none(centre: Centre) -> None:
    centre.admin("add", "partition=gpu", "maxjobs=7")
    centre.ask()
    outcome = centre.run()
    assert (centre.rows(), outcome.changed) == ({GPU: "7"}, ())
    assert outcome.state is not None
    assert centre.handler.outputs(outcome.state)["partitions"] == "gpu"
    assert ["keeps only the partitions gpu" in note for note in outcome.notes] == [True]


def test_of_who_has_what_was_asked_for_nothing_is_said(centre: Centre) -> None:
    centre.ask(GPU)
    assert centre.run().notes == ()
    centre.ask()
    assert (centre.run().notes, set(centre.rows())) == ((), {ANY})
    centre.leave()
    assert centre.run().notes == ()


def test_limits_for_one_who_has_partitions_alone_are_set_at_these(centre: Centre) -> None:
    centre.admin("add", "partition=gpu,cpu")
    centre.ask(specs="MaxJobs=5")
    centre.run()
    assert centre.rows() == {GPU: "5", CPU: "5"}


def test_limits_for_one_who_has_both_kinds_leave_somebody_else_s_partition(
    centre: Centre,
) -> None:
    centre.ask(specs="MaxJobs=5")
    centre.run()
    centre.admin("add", "partition=gpu", "maxjobs=7")
    centre.ask(specs="MaxJobs=6")
    centre.run()
    assert centre.rows() == {ANY: "6", GPU: "7"}


KINDS: dict[str, Sequence[str]] = {"partitions": (GPU, CPU), "both": (ANY, GPU), "one": (GPU,)}
"""What an admin gave a user before."""


def given(centre: Centre, kinds: Sequence[str]) -> None:
    for partition in kinds:
        centre.admin("add", *([f"partition={partition}"] if partition else []), "maxjobs=7")


@pytest.mark.parametrize("kind", KINDS)
def test_suspending_locks_each_and_resuming_gives_each_what_it_had(
    centre: Centre, kind: str
) -> None:
    given(centre, KINDS[kind])
    centre.admin("modify", f"partition={GPU}", "set", "maxjobs=9")
    before = centre.rows()
    centre.ask()
    centre.ledger.suspend(True)
    centre.run()
    assert centre.rows() == dict.fromkeys(KINDS[kind], "0")
    assert centre.run().changed == ()
    centre.ledger.suspend(False)
    centre.run()
    assert centre.rows() == before
    assert centre.run().changed == ()


@pytest.mark.parametrize("kind", KINDS)
def test_who_leaves_loses_each_whatever_their_default_account_is(centre: Centre, kind: str) -> None:
    given(centre, KINDS[kind])
    centre.ask()
    centre.run()
    centre.leave()
    centre.run()
    assert centre.rows() == {}
    assert centre.handler._tools.default_accounts([centre.name]) == {}


def test_other_partitions_take_the_place_of_those_that_were_asked_for(centre: Centre) -> None:
    centre.ask(GPU, CPU)
    centre.run()
    centre.ask(GPU, BIG)
    centre.run()
    assert set(centre.rows()) == {GPU, BIG}
    assert centre.run().changed == ()


def test_partitions_take_the_place_of_all_and_the_default_account_stays(centre: Centre) -> None:
    centre.ask()
    centre.run()
    centre.ask(GPU)
    centre.run()
    assert set(centre.rows()) == {GPU}
    assert centre.handler._tools.default_accounts([centre.name]) == {centre.name: centre.name}


def test_who_was_given_partitions_by_a_request_gets_all_by_one_that_names_none(
    centre: Centre,
) -> None:
    centre.ask(GPU)
    centre.run()
    centre.ask()
    centre.run()
    assert set(centre.rows()) == {ANY}
    assert centre.run().changed == ()


def test_two_allocations_give_the_partitions_of_both_and_one_without_gives_all(
    centre: Centre,
) -> None:
    centre.ask(GPU)
    centre.ask(CPU, claimant="allocation:2")
    centre.run()
    assert set(centre.rows()) == {GPU, CPU}
    centre.ask(claimant="allocation:2")
    centre.run()
    assert set(centre.rows()) == {ANY}


def test_everything_there_is_listed_with_its_partitions(centre: Centre) -> None:
    centre.admin("add", "partition=gpu,cpu")
    listed = [state for key, state in centre.handler.inventory() if key == centre.key]
    assert [list(state["partitions"]) for state in listed] == [[CPU, GPU]]  # type: ignore[arg-type]


def emulated(tmp_path: Path) -> Centre:
    return Centre(slurm_sites.emulated(tmp_path, ["main", GPU, CPU]), "cf1")


@pytest.mark.parametrize("before", [None, (), (CPU,)], ids=["new", "in all", "in another"])
def test_a_partition_that_is_not_there_is_told_before_anything_is_written(
    tmp_path: Path, before: Sequence[str] | None
) -> None:
    centre = emulated(tmp_path)
    if before is not None:
        centre.ask(*before)
        centre.run()
    had = centre.rows()
    centre.ask("GPU", "gpus")
    item = Item(centre.key, centre.ledger.claims[centre.key])
    [(_, _, outcome)] = dry_run(centre.handler, [item])
    assert isinstance(outcome.fault, Permanent)
    assert "no partition 'gpus' (did you mean 'gpu'?)" in outcome.fault.message
    assert "cpu, gpu, main" in outcome.fault.advice
    with pytest.raises(AssertionError, match="no partition 'gpus'"):
        centre.run()
    assert centre.rows() == had


def test_a_partition_that_the_cluster_lost_is_left(tmp_path: Path) -> None:
    centre = emulated(tmp_path)
    centre.ask(GPU, CPU)
    centre.run()
    change(centre.cluster, partitions=["main", CPU])
    centre.ask(CPU)
    centre.run()
    assert set(centre.rows()) == {CPU}


def test_a_lock_that_an_admin_set_at_a_partition_outlives_a_suspension(tmp_path: Path) -> None:
    centre = emulated(tmp_path)
    centre.ask()
    centre.run()
    centre.admin("add", "partition=gpu", "maxjobs=0", "maxsubmitjobs=0")
    for suspended in (True, False):
        centre.ledger.suspend(suspended)
        centre.run()
    assert centre.rows() == {ANY: "", GPU: "0"}


def test_who_works_in_a_partition_that_goes_is_locked_there_now_and_loses_it_later(
    tmp_path: Path,
) -> None:
    centre = emulated(tmp_path)
    centre.ask(GPU, CPU)
    centre.run()
    job = {"account": "cf1", "user": "cf1", "partition": CPU}
    change(centre.cluster, jobs=[job])
    centre.ask(GPU)
    with pytest.raises(
        AssertionError, match="still has jobs in cf1: locked, will be removed later"
    ):
        centre.run()
    assert centre.rows() == {GPU: "", CPU: "0"}
    change(centre.cluster, jobs=[{**job, "partition": GPU}])
    centre.run()
    assert centre.rows() == {GPU: ""}


def test_one_with_a_partition_alone_is_healed_with_it(tmp_path: Path) -> None:
    centre = emulated(tmp_path)
    centre.admin("add", "partition=gpu", "maxjobs=3")
    centre.ask()
    change(centre.cluster, failed=["cf1"])
    assert any("repair" in text for text in centre.run().changed)
    # Made anew without it, they would keep that: nobody asked for the partition.
    assert centre.rows() == {GPU: "3"}


@pytest.mark.parametrize("wrong", ["gpu,cpu", "", "a b", "-x", 'x"', "x" * 65, "a=b", "ü"])
def test_what_is_no_partition_s_name_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        handler: Slurm = slurm_sites.emulated(tmp_path).handler()
        handler.claims({"account": "cf3", "user": "jdoe", "partitions": [wrong]})
    assert str(raised.value.field).startswith("partitions")


def test_an_account_has_no_partitions(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="an account has no partitions"):
        slurm_sites.emulated(tmp_path).handler().claims({"account": "cf3", "partitions": ["gpu"]})


def test_a_plan_says_which_associations_it_is_about(tmp_path: Path) -> None:
    centre = emulated(tmp_path)
    centre.ask()
    centre.run()
    centre.ask(GPU, CPU)
    assert changes({centre.key: centre.run()}) == [
        "add user cf1 to account cf1 (partition cpu, partition gpu)",
        "cf1 in cf1 (without partition): MaxJobs=0, MaxSubmitJobs=0",
        "remove user cf1 from account cf1 (without partition)",
    ]


def test_a_claim_says_its_partitions_in_lower_case_and_each_once(tmp_path: Path) -> None:
    given = {"account": "cf3", "user": "jdoe", "partitions": ["GPU", "cpu", "gpu"]}
    [want] = slurm_sites.emulated(tmp_path).handler().claims(given).values()
    assert want["partitions"] == [CPU, GPU]


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
    tools = centre.handler._tools
    if elsewhere:
        tools.write(["add", "account", "two", "cluster=a"])
        tools.write(["add", "user", "one", "cluster=a", "account=two"])
    centre.ask(GPU, CPU, specs="MaxJobs=5")
    centre.run()
    tools.write(["modify", "user", "where", "name=one", "cluster=a", "set", "defaultaccount=one"])
    run = As2411(cluster)
    centre.handler = build(replace(slurm_sites.site(), run=run), cluster.settings)
    stays = CPU if gone == GPU else GPU
    centre.ask(stays, specs="MaxJobs=5")
    centre.run()
    assert run.refused
    assert centre.rows() == {stays: "5"}
    assert tools.default_accounts(["one"]) == {"one": "one"}
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
    rows = {row.partition: row.limits for row in centre.handler._tools.associations(["one"])}
    assert rows[GPU] == {"MaxJobs": 5, "Fairshare": 77}


def test_what_stays_comes_back_if_adding_it_again_failed_once(tmp_path: Path) -> None:
    centre, run = alone(tmp_path)
    run.fails = [{"add", "user", "partition=gpu"}]
    with pytest.raises(AssertionError):
        centre.run()
    assert centre.rows() == {}
    centre.run()
    assert centre.rows() == {GPU: "5"}
    assert centre.handler._tools.default_accounts(["one"]) == {"one": "one"}


def test_nobody_is_made_again_whose_rights_are_not_shown(tmp_path: Path) -> None:
    centre, run = alone(tmp_path)
    run.mute = [{"withcoord"}] * 99
    with pytest.raises(AssertionError, match="shows no rights of one"):
        centre.run()
    assert centre.rows() == {GPU: "5", CPU: "0"}
