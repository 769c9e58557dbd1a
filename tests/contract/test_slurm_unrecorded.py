"""Users of whom slurmdbd lost the record, as it may where two write at once: made again, whole.

In a real one, slurmrestd makes associations of users without a record; 24.11 and 26.05 then answer
as after a lost one (`Request didn't affect anything`). 22.05's slurmrestd is too old for the lab.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import Slurm, build
from handlers.slurm.limits.limits import add_words
from handlers.slurm.rest.slurmrestd import Slurmrestd
from handlers.slurm.slurmdbd import FILTER, Named
from provisioner.contract import Completed, NotReady, Unavailable
from provisioner.system import process
from tests.support import slurm_jobs, slurm_sites
from tests.support.slurm_ledger import Ledger, account, changes, faults, in_two, limits_of
from tests.support.slurm_sites import Cluster

CLUSTERS = slurm_sites.ALL if slurm_sites.has_slurmrestd() else ["emulated", "emulated by rest"]


@pytest.fixture(params=CLUSTERS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    yield from slurm_sites.own_name(cluster)


def lose(cluster: Cluster, user: str) -> None:
    """Take a user's record away, and leave their associations."""
    if cluster.state is None:
        rows = cluster.sacctmgr().associations_of([user])
        cluster.admin(["delete", "user", "where", f"name={user}"])
        rest = slurm_sites.real_by_rest().handler()._tools.slurmdbd
        assert isinstance(rest, Slurmrestd)
        for own, row in rows:
            body = {"cluster": own, "account": row.account, "user": user}
            rest.write("POST", "associations", {}, {"associations": [body]})
            where = [f"name={user}", f"account={row.account}", f"cluster={own}"]
            limits = add_words(row.limits)
            if limits:
                cluster.admin(["modify", "user", "where", *where, "set", *limits])
        return
    kept = json.loads(cluster.state.read_text())
    del kept["users"][user]
    cluster.state.write_text(json.dumps(kept))


def member(
    handler: Slurm, ledger: Ledger, name: str, user: str | None = None, **more: object
) -> str:
    """Put a user into an account of the same name; return the association's key."""
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": name, "user": user or name, **more})
    assert faults(ledger.run(handler)) == {}
    return f"slurm-a/assoc/{name}/{user or name}"


def recorded(cluster: Cluster, user: str) -> bool:
    return not cluster.sacctmgr().unrecorded([user])


def test_a_user_whose_record_was_lost_is_made_again_with_their_limits(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key = member(handler, ledger, name, specs="MaxJobs=3:MaxTRES=mem=1536G")
    before = cluster.sacctmgr().associations_of([name])
    lose(cluster, name)
    outcomes = ledger.run(cluster.handler())
    assert faults(outcomes) == {}
    assert changes(outcomes) == [
        f"remove user {name} from account {name}, as slurmdbd lost the user's record",
        f"add user {name} to account {name}",
    ]
    assert limits_of(outcomes, key, "MaxJobs") == [3]
    assert cluster.sacctmgr().associations_of([name]) == before
    assert cluster.sacctmgr().users([name]) == Named({name: name}, {(name, name): {""}})
    assert changes(ledger.run(cluster.handler())) == []


def test_several_of_one_account_are_made_again_in_list_calls(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    users = [f"{name}{number}" for number in range(3)]
    for user in users:
        member(handler, ledger, name, user)
    for user in users[:2]:
        lose(cluster, user)
    assert faults(ledger.run(cluster.handler())) == {}
    assert not cluster.sacctmgr().unrecorded(users)


def test_hundreds_are_asked_for_in_calls_of_a_bounded_length(tmp_path: Path) -> None:
    """A database may come back from a dump that lacks a table."""
    cluster = slurm_sites.emulated(tmp_path)
    users = [f"user{number:03}" for number in range(FILTER + 1)]
    where = ["cluster=a", "account=cf1"]
    cluster.admin(["add", "account", "cf1", "cluster=a"])
    cluster.admin(["add", "user", ",".join(users), *where])
    assert cluster.state is not None
    kept = json.loads(cluster.state.read_text())
    root = {"root": kept["users"]["root"]}
    cluster.state.write_text(json.dumps({**kept, "users": root}))
    asked = []

    def shown(argv: Sequence[str], **more: Any) -> Completed:
        asked.append(max(word.count(",") for word in argv))
        return process.run(argv, **more)

    handler = build(replace(slurm_sites.site(), run=shown), cluster.settings)
    found = handler.observe([f"slurm-a/assoc/cf1/{user}" for user in users])
    assert all(state.get("unrecorded") == ["cf1"] for state in found.values())  # type: ignore[union-attr]
    assert max(asked) < FILTER


def test_who_left_while_the_record_was_lost_is_removed(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key = member(handler, ledger, name)
    lose(cluster, name)
    ledger.claims[key] = ()
    assert faults(ledger.run(cluster.handler())) == {}
    assert cluster.sacctmgr().associations_of([name]) == []


def test_who_is_suspended_is_closed_without_a_record_and_gets_it_when_opened(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key = member(handler, ledger, name)
    lose(cluster, name)
    ledger.suspend(True)
    outcomes = ledger.run(cluster.handler())
    assert faults(outcomes) == {}
    assert limits_of(outcomes, key, "MaxJobs", "MaxSubmitJobs") == [0, 0]
    assert not recorded(cluster, name)
    ledger.suspend(False)
    assert faults(ledger.run(cluster.handler())) == {}
    assert recorded(cluster, name)


def test_a_limit_that_nobody_asked_for_is_not_lost_for_a_record(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key = member(handler, ledger, name)
    where = ["where", f"name={name}", f"account={name}", f"cluster={cluster.settings['cluster']}"]
    cluster.admin(["modify", "user", *where, "set", "grpjobs=7"])
    lose(cluster, name)
    before = cluster.sacctmgr().associations_of([name])
    fault = ledger.run(cluster.handler())[key].fault
    assert isinstance(fault, NotReady)
    assert f"slurmdbd lost the record of {name}" in fault.message
    assert cluster.sacctmgr().associations_of([name]) == before
    type_on(cluster, fault.advice)
    assert faults(ledger.run(cluster.handler())) == {}
    assert cluster.sacctmgr().associations_of([name]) == before


def test_who_has_another_account_keeps_both_and_an_admin_is_told_what_to_type(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    first, second = in_two(handler, ledger, name)
    lose(cluster, name)
    before = cluster.sacctmgr().associations_of([name])
    left = {key: one.fault for key, one in ledger.run(cluster.handler()).items() if one.fault}
    assert set(left) == {f"slurm-a/assoc/{one}/{name}" for one in (first, second)}
    assert cluster.sacctmgr().associations_of([name]) == before
    type_on(cluster, left[f"slurm-a/assoc/{first}/{name}"].advice)
    assert faults(ledger.run(cluster.handler())) == {}
    assert recorded(cluster, name)


def type_on(cluster: Cluster, advice: str) -> None:
    """Type the commands of an advice, with an account of the cluster's own for OTHER."""
    own = str(cluster.settings["cluster"])
    for words in advice.replace("NAME", own).replace("OTHER", "root").split("`")[1::2]:
        cluster.admin(words.split()[1:])


ONE = "irc"
"""A user whom slurmctld can look up, and whom no other test uses."""


def test_who_has_jobs_is_left_until_they_are_over(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    key = member(handler, ledger, name, ONE)
    try:
        lose(cluster, ONE)
        slurm_jobs.run(cluster, name, ONE)
        fault = ledger.run(cluster.handler())[key].fault
        assert isinstance(fault, NotReady)
        assert f"{ONE}, who still has jobs in {name}" in fault.message
        assert len(cluster.sacctmgr().associations_of([ONE])) == 1
    finally:
        slurm_jobs.clear(cluster, [name])
    if cluster.state is not None:
        kept = json.loads(cluster.state.read_text())
        cluster.state.write_text(json.dumps({**kept, "jobs": []}))
    assert faults(ledger.run(cluster.handler())) == {}
    assert recorded(cluster, ONE)


OF_USERS = (frozenset(["user", "withassoc"]), frozenset(["user"]))
LISTS: Mapping[str, Sequence[frozenset[str]]] = {
    "that of users with associations": OF_USERS[:1],
    "both of users, and the second of associations": [*OF_USERS, frozenset(["assoc", "user=one"])],
    "both of users, without the one that each has": OF_USERS,
}


@pytest.mark.parametrize("lists", LISTS)
def test_who_is_not_in_some_lists_is_in_doubt(tmp_path: Path, lists: str) -> None:
    """Each list lacks lines once."""
    drops = ["one", "root"] if "each has" in lists else ["one"]
    ledger, handler, _ = once(tmp_path, LISTS[lists], drops)
    [key] = (key for key in ledger.claims if "assoc" in key)
    assert isinstance(handler.observe([key])[key], Unavailable)
    assert faults(ledger.run(handler)) == {}


def test_who_is_in_the_list_before_a_removal_stays(tmp_path: Path) -> None:
    ledger, handler, called = once(tmp_path, OF_USERS, ["one"])
    assert faults(ledger.run(handler)) == {}
    assert not [argv for argv in called if "delete" in argv]


def once(
    tmp_path: Path, lists: Sequence[frozenset[str]], drops: Sequence[str]
) -> tuple[Ledger, Slurm, list[Sequence[str]]]:
    """Put a user into an account; give a handler to which each of some lists once lacks lines."""
    cluster, ledger = slurm_sites.emulated(tmp_path), Ledger()
    member(cluster.handler(), ledger, "cf1", "one")
    left, called = list(lists), []

    def shown(argv: Sequence[str], **more: Any) -> Completed:
        called.append(argv)
        done = process.run(argv, **more)
        which = next((some for some in left if some <= set(argv)), None)
        if which is None:
            return done
        left.remove(which)
        lines = done.stdout.splitlines(keepends=True)
        kept = [line for line in lines if not {*drops} & {*line.strip().split("|")}]
        return replace(done, stdout="".join(kept))

    return ledger, build(replace(slurm_sites.site(), run=shown), cluster.settings), called
