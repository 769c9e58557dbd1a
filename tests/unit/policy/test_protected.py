"""Protected names, crowds, and how the configuration says rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.config.schema import Config, load
from provisioner.contract import ConfigError
from provisioner.policy.rules import Question, question
from provisioner.request.request import parse_request
from tests.support.policies import ROOT, TIB, policy

PROTECTED = policy(protected={"users": ["boss", "svc-*"], "groups": ["board"], "accounts": ["vip"]})


@pytest.mark.parametrize(
    ("kind", "name", "verdict"),
    [
        ("user", "root", "refuse"),
        ("user", "sshd", "refuse"),
        ("user", "systemd-network", "refuse"),
        ("user", "boss", "refuse"),
        ("user", "svc-backup", "refuse"),
        ("user", "board", "allow"),
        ("user", "rooty", "allow"),
        ("group", "sudo", "refuse"),
        ("group", "Administrators", "refuse"),
        ("group", "Board", "refuse"),
        ("group", "vip", "allow"),
        ("account", "root", "refuse"),
        ("account", "vip", "refuse"),
        ("account", "boss", "allow"),
        ("object", "vip", "refuse"),
        ("object", "board", "refuse"),
        ("object", "boss", "refuse"),
        ("object", "cf0003", "allow"),
    ],
)
def test_protected_names_are_touched_by_nobody_root_included(
    kind: str, name: str, verdict: str
) -> None:
    asked = Question("user.provision", names={kind: (name,)})
    assert PROTECTED.decide(ROOT, asked).verdict == verdict
    assert PROTECTED.decide(ROOT, replace(asked, approved=True)).verdict == verdict


HEAD = "provisioner: 1\naction: "


@pytest.mark.parametrize(
    "text",
    [
        "user.provision\nuser: {name: boss}\n",
        "user.suspend\nuser: {name: boss}\n",
        "user.provision\nuser: {name: ann, groups: [board]}\n",
        "project.provision\nproject: {code: BOARD}\n",
        "project.provision\nproject: {code: cf1, users: [ann, boss]}\n",
        "project.archive\nproject: {code: vip}\n",
        "allocation.provision\nallocation: {id: 1, resource: r, project: {code: cf1}, "
        "slurm: {account: vip}}\n",
        "allocation.provision\nallocation: {id: 1, resource: r, project: {code: cf1}, "
        "slurm: {parent: VIP}}\n",
        "allocation.provision\nallocation: {id: 1, resource: r, project: {code: cf1}, "
        "users: [svc-x]}\n",
        "membership.add\nmembership: {user: boss, allocation: {id: 1, resource: r, "
        "project: {code: cf1}}}\n",
        "membership.remove\nmembership: {user: boss, allocation: {id: 1}}\n",
    ],
)
def test_a_protected_name_is_found_wherever_a_request_says_it(text: str) -> None:
    assert PROTECTED.decide(ROOT, question(parse_request((HEAD + text).encode()))).verdict == (
        "refuse"
    )


def test_an_account_may_be_right_below_the_root_of_all() -> None:
    text = "allocation: {id: 1, resource: r, project: {code: cf1}, slurm: {parent: root}}\n"
    request = parse_request((HEAD + "allocation.provision\n" + text).encode())
    assert PROTECTED.decide(ROOT, question(request)).verdict == "allow"


def test_a_protected_name_is_found_in_what_a_route_makes_of_a_request() -> None:
    request = parse_request((HEAD + "user.provision\nuser: {name: ann}\n").encode())
    assert PROTECTED.decide(ROOT, question(request, ["ad/account/ann"])).verdict == "allow"
    asked = question(request, ["slurm-a/assoc/vip/ann"])
    assert PROTECTED.decide(ROOT, asked).why.startswith("vip is protected")


@pytest.mark.parametrize(
    ("mass", "hit", "known", "verdict"),
    [
        ({}, 10, 10, "allow"),
        ({}, 11, 11, "review"),
        ({}, 11, 55, "allow"),
        ({}, 11, 54, "review"),
        ({"users": "100"}, 100, 100, "allow"),
        ({"share": "50"}, 50, 100, "allow"),
        ({"share": "50"}, 51, 100, "review"),
        ({"share": "100"}, 100, 100, "allow"),
        ({"share": "0", "users": "0"}, 1, 1000, "review"),
    ],
    ids=str,
)
def test_a_crowd_is_not_shut_out_before_a_second_person_has_looked(
    mass: dict[str, str], hit: int, known: int, verdict: str
) -> None:
    asked = Question("allocation.suspend", hit=hit, known=known)
    rules = policy(mass=mass)
    assert rules.decide(ROOT, asked).verdict == verdict
    assert rules.decide(ROOT, replace(asked, approved=True)).verdict == "allow"


HEADER = "service: test\nspool: spool\njournal: journal.db\n"


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "provisioner.yaml"
    path.write_text(HEADER + text)
    return load(path)


def test_an_action_that_nothing_matches_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 6: .*'alocation.\*' is not an action"):
        loaded(tmp_path, "policy:\n  rules:\n  - {who: [ann], actions: ['alocation.*']}\n")


def test_sizes_and_numbers_of_rules_are_written_as_in_requests(tmp_path: Path) -> None:
    text = "policy:\n  rules:\n  - {who: [ann], actions: ['*'], space: 5TiB, files: 2000000}\n"
    rules = loaded(tmp_path, text).policy.rules
    assert rules is not None
    assert (rules[0].space, rules[0].files) == (5 * TIB, 2000000)
