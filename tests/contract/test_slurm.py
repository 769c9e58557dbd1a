"""What holds of Slurm, emulated and real: one suite over both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import Slurm, build
from handlers.slurm.sacctmgr import Sacctmgr
from provisioner.contract import (
    Change,
    Completed,
    InvalidRequest,
    NotReady,
)
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, changes, faults, in_two, limits_of
from tests.support.slurm_sites import Cluster


@pytest.fixture(params=slurm_sites.ALL)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours."""
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, and take out what was made under it."""
    yield from slurm_sites.own_name(cluster)


def test_an_account_with_its_users_is_made_and_a_second_run_writes_nothing(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    users = [{"account": name, "user": f"{name}{n}"} for n in range(5)]
    ledger.want(
        handler, "allocation:1", account(name, specs="GrpTRES=cpu=64,mem=1G:MaxWall=1-00:00:00")
    )
    assert faults(ledger.run(handler)) == {}
    ledger.want(handler, "allocation:1", *users)
    assert faults(ledger.run(handler)) == {}
    again = ledger.run(cluster.handler())
    assert (faults(again), changes(again)) == ({}, [])


def test_an_account_and_its_users_may_come_in_one_batch(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name))
    assert faults(ledger.run(handler)) == {}
    ledger.want(handler, "allocation:1", {"account": name, "user": name})
    assert faults(ledger.run(handler)) == {}


def test_a_user_without_the_account_is_not_ready(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", {"account": name, "user": name})
    outcome = ledger.run(handler)[f"slurm-a/assoc/{name}/{name}"]
    assert isinstance(outcome.fault, NotReady)


def test_limits_are_changed_and_what_nobody_speaks_of_is_left(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name, specs="GrpJobs=10"))
    ledger.run(handler)
    where = ["where", f"name={name}", f"cluster={cluster.settings['cluster']}"]
    cluster.admin(["modify", "account", *where, "set", "MaxJobs=5"])
    ledger.want(handler, "allocation:1", account(name, specs="GrpJobs=20"))
    outcome = ledger.run(handler)[f"slurm-a/account/{name}"]
    assert outcome.fault is None and outcome.state is not None
    limits = outcome.state["limits"]
    assert isinstance(limits, Mapping)
    assert (limits["GrpJobs"], limits["MaxJobs"]) == (20, 5)


def test_suspending_locks_and_resuming_gives_back_what_was(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": name, "user": name, "specs": "MaxWall=60"})
    ledger.run(handler)
    cluster.admin(
        [
            *["modify", "user", "where", f"name={name}", f"cluster={cluster.settings['cluster']}"],
            *["set", "MaxJobs=7"],
        ]
    )
    ledger.suspend(True)
    closed = ledger.run(handler)
    assert faults(closed) == {}
    assert limits_of(closed, f"slurm-a/assoc/{name}/{name}", "MaxJobs", "MaxSubmitJobs") == [
        0,
        0,
    ]
    assert limits_of(closed, f"slurm-a/account/{name}", "GrpJobs", "GrpSubmitJobs") == [0, 0]
    assert changes(ledger.run(handler)) == []
    ledger.suspend(False)
    opened = ledger.run(handler)
    assert faults(opened) == {}
    assert limits_of(opened, f"slurm-a/assoc/{name}/{name}", "MaxJobs", "MaxSubmitJobs") == [
        7,
        None,
    ]
    assert limits_of(opened, f"slurm-a/account/{name}", "GrpJobs", "GrpSubmitJobs") == [None, None]


def test_what_an_account_hands_down_is_not_given_back_to_its_users(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name, specs="MaxJobs=10"))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": name, "user": name})
    for suspended in (False, True, False):
        ledger.suspend(suspended)
        outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    limits = outcomes[f"slurm-a/assoc/{name}/{name}"].state["limits"]  # type: ignore[index]
    assert limits == {}


def test_a_lock_that_an_account_hands_down_is_left_to_who_set_it(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    locked = account(name, specs="MaxJobs=0:MaxSubmitJobs=0")
    ledger.want(handler, "allocation:1", locked)
    ledger.run(handler)
    ledger.want(handler, "allocation:1", locked, {"account": name, "user": name})
    ledger.run(handler)
    outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    assert changes(outcomes) == []


@pytest.mark.parametrize(
    "title", ["a|b", "the role of β", "🚀", "Größe: x, y=z", "a\\b", "50 % <of> #1", " x  y "]
)
def test_a_title_with_any_letters_is_read_back(cluster: Cluster, name: str, title: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name, description=title))
    assert faults(ledger.run(handler)) == {}
    assert changes(ledger.run(handler)) == []


def test_who_leaves_one_account_keeps_the_other_and_its_default(
    cluster: Cluster, name: str
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    first, second = in_two(handler, ledger, name)
    ledger.claims[f"slurm-a/assoc/{first}/{name}"] = ()
    outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    left, kept = (outcomes[f"slurm-a/assoc/{a}/{name}"].state for a in (first, second))
    assert left is not None and kept is not None
    assert (left["present"], kept["present"]) == (False, True)
    after = ledger.run(handler)[f"slurm-a/assoc/{second}/{name}"].state
    assert after is not None and after["default_account"] == second


def test_a_default_account_moves_when_asked(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    first, second = name + "a", name + "b"
    ledger.want(handler, "allocation:1", account(first), account(second))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": first, "user": name})
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": second, "user": name, "default": True})
    assert faults(ledger.run(handler)) == {}
    assert handler._tools.slurmdbd.users([name]).defaults == {name: second}


def test_a_withdrawn_account_is_locked_and_kept(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    ledger.claims[f"slurm-a/account/{name}"] = ()
    outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    assert limits_of(outcomes, f"slurm-a/account/{name}", "GrpJobs") == [0]


def test_a_thousand_users_are_a_handful_of_calls(
    cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    ledger.claims = {}
    number = 1000 if cluster.state else 20
    users = [{"account": name, "user": f"{name}{n}"} for n in range(number)]
    ledger.want(handler, "allocation:1", *users)
    calls: list[Sequence[Change]] = []
    apply = Slurm.apply

    def counted(self: Slurm, some: Sequence[Change]) -> None:
        calls.append(some)
        apply(self, some)

    monkeypatch.setattr(Slurm, "apply", counted)
    outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    assert [len(some) for some in calls] == [number]


def test_a_crash_after_any_write_converges_when_run_again(
    cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for survives in range(3):
        which = f"{name}{survives}"
        handler, ledger = cluster.handler(), Ledger()
        ledger.want(handler, "allocation:1", account(which + "a"), account(which + "b"))
        ledger.run(handler)
        ledger.want(handler, "allocation:1", {"account": which + "a", "user": which})
        ledger.run(handler)
        more = {"account": which + "b", "user": which, "default": True, "specs": "MaxJobs=3"}
        ledger.want(handler, "allocation:1", more)
        ledger.claims[f"slurm-a/assoc/{which}a/{which}"] = ()
        left = [survives]
        way: Any = type(handler._tools.slurmdbd)

        def dying(
            *words: Any, left: list[int] = left, write: Callable[..., None] = way.write
        ) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            write(*words)

        with monkeypatch.context() as patch:
            patch.setattr(way, "write", dying)
            with pytest.raises(KeyboardInterrupt):
                ledger.run(handler)
        after = cluster.handler()
        assert faults(ledger.run(after)) == {}
        assert changes(ledger.run(after)) == []


@pytest.mark.parametrize(
    "params",
    [
        {"account": "root"},
        {"account": "a b"},
        {"account": "x,y"},
        {"account": "-x"},
        {"account": ""},
        {"account": "cf3", "user": "root"},
        {"account": "cf3", "user": "Jdoe"},
        {"account": "cf3", "user": "a=b"},
        {"account": "cf3", "user": "../x"},
        {"account": "cf3", "user": "x\n"},
        {"account": "cf3", "user": "u", "specs": "AdminLevel=Administrator"},
        {"account": "cf3", "user": "u", "specs": "MaxJobs=1 AdminLevel=Administrator"},
        {"account": "cf3", "parent": "CF3"},
        {"account": "cf3", "specs": "Parent=cf1"},
    ],
)
def test_hostile_names_are_refused_before_slurm_sees_them(
    tmp_path: Path, params: Mapping[str, object]
) -> None:
    with pytest.raises(InvalidRequest):
        slurm_sites.emulated(tmp_path).handler().claims(params)


def test_who_has_running_jobs_is_locked_now_and_removed_later(tmp_path: Path) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account("cf1"))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": "cf1", "user": "u1"})
    ledger.run(handler)
    assert cluster.state is not None
    state = json.loads(cluster.state.read_text())
    cluster.state.write_text(json.dumps({**state, "jobs": [{"account": "cf1", "user": "u1"}]}))
    key = "slurm-a/assoc/cf1/u1"
    ledger.claims[key] = ()
    waiting = ledger.run(handler)
    assert isinstance(waiting[key].fault, NotReady)
    assert limits_of(waiting, key, "MaxJobs", "MaxSubmitJobs") == [0, 0]
    state = json.loads(cluster.state.read_text())
    cluster.state.write_text(json.dumps({**state, "jobs": []}))
    gone = ledger.run(handler)[key]
    assert gone.fault is None and gone.state is not None and gone.state["present"] is False


def test_one_whom_slurm_refuses_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provisioner.contract import Transient

    handler, ledger = slurm_sites.emulated(tmp_path).handler(), Ledger()
    ledger.want(handler, "allocation:1", account("cf1"))
    ledger.run(handler)
    ledger.want(
        handler, "allocation:1", *({"account": "cf1", "user": f"u{n}"} for n in range(1000))
    )
    write, calls = Sacctmgr.write, []

    def poisoned(tools: Sacctmgr, words: Sequence[str]) -> None:
        calls.append(words)
        if any("u500" in word.split(",") for word in words):
            raise Transient("u500 is refused")
        write(tools, words)

    monkeypatch.setattr(Sacctmgr, "write", poisoned)
    outcomes = ledger.run(handler)
    assert list(faults(outcomes)) == ["slurm-a/assoc/cf1/u500"]
    assert len(calls) < 25


def test_everything_there_is_listed(cluster: Cluster, name: str) -> None:
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account(name))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": name, "user": name})
    ledger.run(handler)
    keys = dict(handler.inventory())
    assert {f"slurm-a/account/{name}", f"slurm-a/assoc/{name}/{name}"} <= set(keys)


def test_a_list_that_is_too_long_for_one_argument_is_cut() -> None:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_: object) -> Completed:
        calls.append(argv)
        return Completed(tuple(argv), 0, "", "")

    handler = build(replace(slurm_sites.site(), run=run), {"cluster": "a"})
    data = {"account": "cf1", "attributes": []}
    handler.apply(
        [
            Change("k", "add-user", "", data={**data, "name": f"u{number:031}"})
            for number in range(5000)
        ]
    )
    # execve(2): one argument may have 128 KiB.
    assert [max(map(len, argv)) < 131072 for argv in calls] == [True] * 3
