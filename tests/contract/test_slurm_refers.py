"""What a request refers to in Slurm, beside its own objects: QOS and parents have to be there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.slurm.slurmdbd import TRES
from handlers.slurm.handler import Slurm, build
from provisioner.contract import Claim, Completed, Fault, Permanent, Transient
from provisioner.convergence.converge import converge, dry_run
from provisioner.objects.items import Item
from provisioner.system import process
from tests.support import slurm_sites


class Counted:
    """Runs programs, and keeps what was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        self.calls.append(" ".join(argv[1:4]))
        return process.run(argv, stdin=stdin, timeout=timeout, env=env)


@pytest.fixture
def run() -> Counted:
    return Counted()


@pytest.fixture
def slurm(tmp_path: Path, run: Counted) -> Slurm:
    """Give a cluster with the QOS normal, long and debug, the resource gres/gpu:a100, and the
    account physics.
    """
    cluster = slurm_sites.emulated(tmp_path)
    assert cluster.state is not None
    state = json.loads(cluster.state.read_text())
    more = {"qos": ["normal", "long", "debug"], "tres": [*TRES, "gres/gpu:a100"]}
    cluster.state.write_text(json.dumps({**state, **more}))
    handler = build(replace(slurm_sites.site(), run=run), cluster.settings)
    assert faults(handler, {"account": "physics"}) == []
    run.calls.clear()
    return handler


def items(handler: Slurm, *wanted: Mapping[str, Any]) -> list[Item]:
    return [
        Item(key, (Claim("allocation:1", want),))
        for params in wanted
        for key, want in handler.claims(params).items()
    ]


def faults(handler: Slurm, *wanted: Mapping[str, Any]) -> list[Fault]:
    outcomes = converge(handler, items(handler, *wanted), lambda _: None)
    return [outcome.fault for outcome in outcomes if outcome.fault is not None]


def foretold(handler: Slurm, *wanted: Mapping[str, Any]) -> list[Fault]:
    found = dry_run(handler, items(handler, *wanted))
    return [outcome.fault for _, _, outcome in found if outcome.fault is not None]


REFUSED: dict[str, tuple[dict[str, Any], type[Fault], str]] = {
    "qos": ({"qos": ["normal", "longg"]}, Permanent, "no QOS 'longg' (did you mean 'long'?)"),
    "specs": ({"specs": "QOS+=debg"}, Permanent, "no QOS 'debg' (did you mean 'debug'?)"),
    "default": ({"specs": "DefaultQOS=zzz"}, Permanent, "no QOS 'zzz'"),
    "resource": (
        {"specs": "GrpTRES=gres/gpu=2"},
        Permanent,
        "the slurmdbd does not count 'gres/gpu'",
    ),
    "type": (
        {"specs": "MaxTRES=cpu=1,gres/gpu:a10=1"},
        Permanent,
        "does not count 'gres/gpu:a10' (did you mean 'gres/gpu:a100'?)",
    ),
    "parent": ({"parent": "phisics"}, Transient, "'phisics' (did you mean 'physics'?)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_not_there_is_told_by_the_dry_run_with_the_nearest(
    slurm: Slurm, name: str
) -> None:
    given, kind, said = REFUSED[name]
    [fault] = foretold(slurm, {"account": "cf1", **given})
    assert type(fault) is kind
    assert said in fault.message
    assert fault.advice


@pytest.mark.parametrize("name", REFUSED)
def test_the_real_thing_says_the_same_before_it_writes(
    slurm: Slurm, run: Counted, name: str
) -> None:
    given, _, said = REFUSED[name]
    [fault] = faults(slurm, {"account": "cf1", **given})
    assert said in fault.message
    assert not [call for call in run.calls if call.startswith("-i")]


def test_what_every_slurmdbd_counts_is_not_asked_for(slurm: Slurm, run: Counted) -> None:
    every = "GrpTRES=" + ",".join(f"{name}=1" for name in TRES)
    assert faults(slurm, {"account": "physics", "specs": every}) == []
    assert not [call for call in run.calls if "tres" in call]
    assert faults(slurm, {"account": "physics", "specs": "MaxTRES=gres/gpu:a100=1"}) == []
    assert [call for call in run.calls if "tres" in call] == ["-nP show tres"]


def test_all_that_is_not_there_is_told_at_once(slurm: Slurm) -> None:
    [fault] = foretold(slurm, {"account": "cf1", "qos": ["longg"], "parent": "phisics"})
    assert "'longg'" in fault.message
    assert "'phisics'" in fault.message


def test_one_that_names_what_is_not_there_fails_alone(slurm: Slurm) -> None:
    wrong = {"account": "cf1", "qos": ["longg"]}
    assert len(faults(slurm, wrong, {"account": "cf2", "qos": ["long"]})) == 1
    assert faults(slurm, {"account": "cf2", "qos": ["long"]}) == []


def test_a_parent_that_is_made_in_the_same_batch_is_there(slurm: Slurm) -> None:
    assert faults(slurm, {"account": "top"}, {"account": "cf1", "parent": "top"}) == []


NO_ACCESS: dict[str, dict[str, Any]] = {
    "a new account": {"account": "cf1", "specs": "DefaultQOS=long"},
    "one that is there": {"account": "physics", "specs": "DefaultQOS=long"},
    "a new user": {"account": "physics", "user": "bob", "specs": "DefaultQOS=long"},
    "one taken off": {
        "account": "physics",
        "user": "bob",
        "specs": "QOS-=normal:DefaultQOS=normal",
    },
}


@pytest.mark.parametrize("name", NO_ACCESS)
def test_a_default_qos_that_may_not_be_used_is_told_once_and_nothing_is_written(
    slurm: Slurm, run: Counted, name: str
) -> None:
    for told in (foretold, faults):
        [fault] = told(slurm, NO_ACCESS[name])
        assert type(fault) is Permanent
        assert "is not among the QOS that may be used there" in fault.message
    assert not [call for call in run.calls if call.startswith("-i")]


@pytest.mark.parametrize(
    "given",
    [
        {"account": "cf1", "specs": "QOS=long,normal:DefaultQOS=long"},
        {"account": "physics", "user": "bob", "specs": "QOS+=long:DefaultQOS=long"},
        {"account": "physics", "user": "bob", "specs": "DefaultQOS=normal"},
    ],
)
def test_a_default_qos_that_may_be_used_is_set(slurm: Slurm, given: dict[str, Any]) -> None:
    assert faults(slurm, given) == []


def test_a_list_without_the_default_qos_is_refused_for_good_in_slurm_s_words(slurm: Slurm) -> None:
    both = "QOS=long,normal:DefaultQOS=long"
    assert faults(slurm, {"account": "physics", "specs": both}) == []
    [fault] = faults(slurm, {"account": "physics", "specs": "QOS=normal"})
    assert type(fault) is Permanent
    assert "don't have access to their default qos" in fault.message


def test_what_names_nothing_costs_no_question_more(slurm: Slurm, run: Counted) -> None:
    assert faults(slurm, {"account": "physics", "user": "ann"}) == []
    assert not [call for call in run.calls if "qos" in call]
    plain = len(run.calls)
    run.calls.clear()
    assert faults(slurm, {"account": "physics", "user": "bob", "specs": "QOS=long"}) == []
    assert [call for call in run.calls if "qos" in call] == ["-nP show qos"]
    assert len(run.calls) == plain + 1
    run.calls.clear()
    assert faults(slurm, {"account": "physics", "user": "bob", "specs": "QOS=long"}) == []
    assert not [call for call in run.calls if "qos" in call]
