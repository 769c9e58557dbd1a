"""How users leave an account in Slurm, emulated and real, whatever their default account is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.lab.versions import at_least
from handlers.slurm.handler import build
from provisioner.contract import Change, Completed, Fault, Unavailable
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, changes, faults, in_two
from tests.support.slurm_sites import Cluster


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours."""
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, and take out what was made under it."""
    yield from slurm_sites.own_name(cluster)


def test_who_has_the_account_as_default_and_who_has_another_leave_in_one_list(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    first, second = name + "a", name + "b"
    ledger.want(handler, "allocation:1", account(first), account(second))
    ledger.run(handler)
    # By name, who has another default comes before who has this one.
    ledger.want(handler, "allocation:1", {"account": second, "user": f"{name}1"})
    ledger.run(handler)
    both = [{"account": first, "user": f"{name}{number}"} for number in (1, 2)]
    ledger.want(handler, "allocation:1", *both)
    assert faults(ledger.run(handler)) == {}
    # Not by `converge`, which would halve a list that is refused.
    data = [{"account": first, "name": user["user"]} for user in both]
    handler.apply([Change("k", "remove-user", "", data=one) for one in data])
    assert [row.user for row in handler._tools.slurmdbd.associations([first])] == [""]
    assert handler._tools.slurmdbd.users([f"{name}1", f"{name}2"]).defaults == {f"{name}1": second}


def test_who_leaves_the_default_account_has_another_of_theirs_before_anybody_looks_again(
    cluster: Cluster, name: str
) -> None:
    handler = cluster.handler()
    first, second = in_two(handler, Ledger(), name)
    assert handler._tools.slurmdbd.users([name]).defaults == {name: first}
    # Not by `converge`, whose next look gives a default account to those who lost theirs.
    handler.apply([Change("k", "remove-user", "", data={"account": first, "name": name})])
    assert handler._tools.slurmdbd.users([name]).defaults == {name: second}


def test_who_has_a_partition_s_association_beside_their_own_leaves_with_both(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": name, "user": name})
    assert faults(ledger.run(handler)) == {}
    where = [f"cluster={cluster.settings['cluster']}", f"account={name}", "partition=gpu"]
    cluster.admin(["add", "user", name, *where])
    ledger.claims[f"slurm-a/assoc/{name}/{name}"] = ()
    assert faults(ledger.run(handler)) == {}
    assert handler._tools.slurmdbd.associations_of([name]) == []


def test_many_users_are_deleted_fifty_at_a_time_and_asked_after_two_hundred_at_a_time() -> None:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_: object) -> Completed:
        calls.append(argv)
        return Completed(tuple(argv), 0, "", "")

    handler = build(replace(slurm_sites.site(), run=run), {"cluster": "a"})
    data = {"account": "cf1"}
    handler.apply(
        [Change("k", "remove-user", "", data={**data, "name": f"u{n}"}) for n in range(450)]
    )
    removed = [argv[5].removeprefix("name=").split(",") for argv in calls if "delete" in argv]
    assert [len(names) for names in removed] == [50] * 9
    assert [name for names in removed for name in names] == [f"u{n}" for n in range(450)]
    assert len([argv for argv in calls if "withassoc" in argv]) == 3


def test_a_read_that_runs_out_of_time_says_which_and_that_slurmdbd_may_be_up(
    tmp_path: Path,
) -> None:
    def run(argv: Sequence[str], **_: object) -> Completed:
        return Completed(tuple(argv), -1, "", "", timed_out=True)

    # By a name alone: a message shows the beginning of a long command.
    short = {"sacctmgr": ["sacctmgr"], "timeout": 30}
    settings = {**slurm_sites.emulated(tmp_path).settings, **short}
    handler = build(replace(slurm_sites.site(), run=run), settings)
    with pytest.raises(Unavailable) as raised:
        handler.observe(["slurm-a/assoc/cf1/jdoe"])
    assert "sacctmgr -nP show assoc" in raised.value.message
    assert "cluster=a account=cf1" in raised.value.message
    assert "no answer within 30 s" in raised.value.message
    assert "slurmdbd may be up but stuck" in raised.value.advice


def test_whose_default_association_an_admin_deleted_gets_a_default_account_again(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    first, second = in_two(handler, ledger, name)
    where = [f"name={name}", f"cluster={cluster.settings['cluster']}", f"account={first}"]
    if at_least(cluster.sacctmgr().version(), "24.11"):
        # From there on nobody can: docs/versions.md.
        with pytest.raises(Fault, match="default account of a user"):
            cluster.admin(["delete", "user", "where", *where])
        return
    cluster.admin(["delete", "user", "where", *where])
    assert handler._tools.slurmdbd.users([name]).defaults == {}
    del ledger.claims[f"slurm-a/assoc/{first}/{name}"]
    assert faults(ledger.run(handler)) == {}
    assert handler._tools.slurmdbd.users([name]).defaults == {name: second}
    assert changes(ledger.run(handler)) == []
