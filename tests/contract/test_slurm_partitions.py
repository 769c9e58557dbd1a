"""Associations with partitions and without, side by side, in emulated and real Slurm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from handlers.slurm.handler import Slurm
from provisioner.contract import InvalidRequest, Permanent
from provisioner.convergence.converge import dry_run
from provisioner.objects.items import Item
from tests.support import slurm_sites
from tests.support.slurm_centres import ANY, BIG, CPU, GPU, Centre, change
from tests.support.slurm_ledger import changes
from tests.support.slurm_sites import Cluster


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours, and the partitions gpu, cpu and big."""
    return slurm_sites.which(request.param, tmp_path, ["main", GPU, CPU, BIG])


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, and take out what was made under it."""
    yield from slurm_sites.own_name(cluster)


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
    assert centre.handler._tools.slurmdbd.users([centre.name]).defaults == {}


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
    named = centre.handler._tools.slurmdbd.users([centre.name])
    assert named.defaults == {centre.name: centre.name}


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
