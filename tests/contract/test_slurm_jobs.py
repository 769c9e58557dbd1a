"""Jobs of who is suspended, with `on_suspend: cancel`, in an emulated and in a real Slurm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import Slurm, build
from provisioner.contract import Claim, Completed
from provisioner.convergence.converge import Outcome
from provisioner.system import process
from tests.support import slurm_jobs, slurm_sites
from tests.support.slurm_jobs import ONE, TWO, run, submit
from tests.support.slurm_ledger import Ledger, account, changes, faults
from tests.support.slurm_sites import Cluster

LOCKED = {"MaxJobs": 0, "MaxSubmitJobs": 0}


@dataclass
class Centre:
    """Two accounts of a cluster, with two users each, and what is wanted of them."""

    cluster: Cluster
    first: str
    second: str
    ledger: Ledger = field(default_factory=Ledger)

    def handler(self, most: int, run: Any = process.run) -> Slurm:
        """Build a handler that cancels so many jobs of a user in an account."""
        settings = {**self.cluster.settings, "on_suspend": "cancel", "most_cancelled": most}
        return build(replace(slurm_sites.site(), run=run), settings)

    def suspend(self, handler: Slurm, *users: str, closed: bool = True) -> Mapping[str, Outcome]:
        """Suspend users, or let them come back."""
        for key, claims in self.ledger.claims.items():
            if key.rpartition("/")[2] in users:
                both = tuple(Claim(one.claimant, one.want, closed) for one in claims)
                self.ledger.claims[key] = both
        outcomes = self.ledger.run(handler)
        assert faults(outcomes) == {}
        return outcomes

    def jobs(self) -> list[Mapping[tuple[str, str], int]]:
        """Return the jobs in the first account, and those in the second."""
        return [slurm_jobs.jobs(self.cluster, name) for name in (self.first, self.second)]


@pytest.fixture(params=slurm_sites.BOTH)
def centre(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Centre]:
    """Give two accounts that nobody had before, with users, and no jobs."""
    cluster = slurm_sites.which(request.param, tmp_path)
    if cluster.state is None:
        scancel = [slurm_sites.program("scancel")]
        cluster = replace(cluster, settings={**cluster.settings, "scancel": scancel})
    for name in slurm_sites.own_name(cluster):
        centre = Centre(cluster, name + "a", name + "b")
        accounts = [centre.first, centre.second]
        handler = cluster.handler()
        centre.ledger.want(handler, "allocation:1", *map(account, accounts))
        centre.ledger.run(handler)
        users = [{"account": one, "user": user} for one in accounts for user in (ONE, TWO)]
        centre.ledger.want(handler, "allocation:1", *users)
        assert faults(centre.ledger.run(handler)) == {}
        try:
            yield centre
        finally:
            slurm_jobs.clear(cluster, accounts)


def test_jobs_that_run_and_that_wait_are_cancelled_in_every_account_and_nobody_elses(
    centre: Centre,
) -> None:
    run(centre.cluster, centre.first, ONE)
    submit(centre.cluster, centre.first, ONE)
    submit(centre.cluster, centre.second, ONE)
    submit(centre.cluster, centre.first, TWO)
    submit(centre.cluster, centre.second, TWO)
    said = changes(centre.suspend(centre.handler(2), ONE))
    assert centre.jobs() == [{(TWO, "PENDING"): 1}, {(TWO, "PENDING"): 1}]
    assert f"cancel 2 jobs of {ONE} in {centre.first}" in said
    assert f"cancel 1 job of {ONE} in {centre.second}" in said


def test_above_the_most_of_an_account_no_job_of_it_is_cancelled_and_a_remark_says_so(
    centre: Centre,
) -> None:
    run(centre.cluster, centre.first, ONE)
    submit(centre.cluster, centre.first, ONE)
    submit(centre.cluster, centre.second, ONE)
    outcomes = centre.suspend(centre.handler(1), ONE)
    assert centre.jobs() == [{(ONE, "RUNNING"): 1, (ONE, "PENDING"): 1}, {}]
    crowded = outcomes[f"slurm-a/assoc/{centre.first}/{ONE}"]
    assert (crowded.state or {})["limits"] == LOCKED
    assert crowded.notes == (
        f"2 jobs of {ONE} in {centre.first} run on: more than the 1 that `most_cancelled` allows. "
        f"To end them: scancel --user={ONE} --account={centre.first}",
    )


@pytest.mark.parametrize(("most", "left"), [(3, 0), (2, 3)])
def test_each_element_of_an_array_counts(centre: Centre, most: int, left: int) -> None:
    submit(centre.cluster, centre.first, ONE, array=3)
    centre.suspend(centre.handler(most), ONE)
    assert sum(centre.jobs()[0].values()) == left


def test_all_users_of_an_account_that_is_suspended_have_their_jobs_cancelled(
    centre: Centre,
) -> None:
    for user in (ONE, TWO):
        submit(centre.cluster, centre.first, user)
    submit(centre.cluster, centre.second, TWO)
    handler = centre.handler(1)
    for key, claims in centre.ledger.claims.items():
        if centre.first in key.split("/"):
            shut = tuple(Claim(one.claimant, one.want, suspended=True) for one in claims)
            centre.ledger.claims[key] = shut
    assert faults(centre.ledger.run(handler)) == {}
    assert centre.jobs() == [{}, {(TWO, "PENDING"): 1}]


def test_a_job_that_is_only_being_ended_is_not_cancelled_again(centre: Centre) -> None:
    run(centre.cluster, centre.first, ONE)
    handler = centre.handler(1)
    assert changes(centre.suspend(handler, ONE)) != []
    assert changes(centre.ledger.run(handler)) == []


def test_who_comes_back_submits_again_and_keeps_the_jobs(centre: Centre) -> None:
    handler = centre.handler(1)
    centre.suspend(handler, ONE)
    centre.suspend(handler, ONE, closed=False)
    submit(centre.cluster, centre.first, ONE)
    assert changes(centre.ledger.run(handler)) == []
    assert centre.jobs()[0] == {(ONE, "PENDING"): 1}


@pytest.mark.parametrize("centre", slurm_sites.BY_SACCTMGR, indirect=True)
def test_who_submits_more_than_may_be_cancelled_before_the_lock_keeps_all(centre: Centre) -> None:
    submit(centre.cluster, centre.first, ONE)

    def slowly(argv: Sequence[str], **more: Any) -> Completed:
        """Run a program; before the first that writes, the user is quick."""
        if "modify" in argv and sum(centre.jobs()[0].values()) == 1:
            submit(centre.cluster, centre.first, ONE)
        return process.run(argv, **more)

    outcomes = centre.suspend(centre.handler(1, slowly), ONE)
    assert centre.jobs()[0] == {(ONE, "PENDING"): 2}
    [note] = outcomes[f"slurm-a/assoc/{centre.first}/{ONE}"].notes
    assert note.startswith(f"2 jobs of {ONE} in {centre.first} run on")
