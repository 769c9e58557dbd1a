"""Rules: who may ask for what."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.policy.rules import Question
from provisioner.system.users import Submitter
from tests.support.policies import ANN, EVE, PORTAL, ROOT, SERVICE, SIZES, TIB, own, policy, told


@pytest.mark.parametrize(
    ("who", "asked", "verdict"),
    [
        (ROOT, Question("allocation.provision"), "allow"),
        (ROOT, Question("lane.pause"), "allow"),
        (ROOT, Question("request.cancel", target=own(EVE)), "allow"),
        (SERVICE, Question("request.release", target=own(EVE)), "allow"),
        (ANN, Question("user.provision", adopt=True), "allow"),
        (ANN, Question("allocation.provision", path=True), "refuse"),
        (SERVICE, Question("allocation.provision", path=True), "allow"),
        (ROOT, Question("allocation.provision", path=True), "allow"),
        (ANN, Question("allocation.suspend"), "allow"),
        (ANN, Question("reconcile"), "allow"),
        (ANN, Question("request.cancel", target=own(ANN)), "allow"),
        (ANN, Question("request.cancel", target=own(EVE)), "refuse"),
        (ANN, Question("request.cancel", target=own(Submitter(ANN.uid, "former"))), "refuse"),
        (ANN, Question("request.cancel", target=own(Submitter(7, ANN.name))), "refuse"),
        (ANN, Question("request.release", target=own(EVE)), "refuse"),
        (ANN, Question("lane.pause"), "refuse"),
        (EVE, Question("user.provision"), "refuse"),
    ],
    ids=lambda value: getattr(value, "action", None) or getattr(value, "name", None),
)
def test_without_rules_the_staging_group_asks_for_all_but_what_steers_others(
    who: Submitter, asked: Question, verdict: str
) -> None:
    assert policy("hpc-staff").decide(who, asked).verdict == verdict


def test_without_rules_and_without_a_staging_group_only_root_and_the_service_ask() -> None:
    asked = Question("user.provision")
    found = {who.name: policy().decide(who, asked).verdict for who in (ROOT, SERVICE, ANN, EVE)}
    assert found == {"root": "allow", "provisioner": "allow", "ann": "refuse", "eve": "refuse"}


def test_without_a_rule_for_anybody_only_root_and_the_service_ask() -> None:
    rules = policy("hpc-staff", rules=[])
    assert rules.decide(ANN, Question("user.provision")).verdict == "refuse"
    assert rules.decide(SERVICE, Question("user.provision")).verdict == "allow"


STORE = frozenset({"store"})


@pytest.mark.parametrize(
    ("rule", "asked", "verdict"),
    [
        # who
        ({"who": ["ann"]}, {}, "allow"),
        ({"who": ["@hpc-staff"]}, {}, "allow"),
        ({"who": ["*"]}, {}, "allow"),
        ({"who": ["hpc-staff"]}, {}, "refuse"),
        ({"who": ["@ann2", "eve"]}, {}, "refuse"),
        ({"who": []}, {}, "refuse"),
        # actions
        ({"actions": ["*"]}, {}, "allow"),
        ({"actions": ["*.provision"]}, {}, "allow"),
        ({"actions": ["allocation.provision"]}, {}, "allow"),
        ({"actions": ["user.*", "allocation.suspend"]}, {}, "refuse"),
        # resources
        ({"resources": ["store"]}, {"resources": STORE}, "allow"),
        ({"resources": ["store", "fast"]}, {"resources": STORE}, "allow"),
        ({"resources": ["fast"]}, {"resources": STORE}, "refuse"),
        ({"resources": ["fast"]}, {"resources": frozenset()}, "refuse"),
        ({"resources": ["store"]}, {"resources": frozenset({"store", "fast"})}, "refuse"),
        # users
        ({"users": ["p-*"]}, {"names": {"user": ("p-ann", "P-bob")}}, "allow"),
        ({"users": ["p-*"]}, {"names": {"user": ("p-ann", "eve")}}, "refuse"),
        ({"users": ["p-*"]}, {"names": {"user": ()}}, "allow"),
        # sizes
        ({"space": "5TiB"}, {"space": 5 * TIB}, "allow"),
        ({"space": "5TiB"}, {"space": 5 * TIB + 1}, "refuse"),
        ({"space": "5TiB"}, {"space": None}, "allow"),
        ({"files": "10"}, {"files": 10}, "allow"),
        ({"files": "10"}, {"files": 11}, "refuse"),
        # new users
        ({"new_users": "3"}, {"fresh": ("a", "b"), "recent": 1}, "allow"),
        ({"new_users": "3"}, {"fresh": ("a", "b"), "recent": 2}, "refuse"),
        ({"new_users": "3"}, {"fresh": (), "recent": 9}, "allow"),
        ({"hourly": "3"}, {"lately": 2}, "allow"),
        ({"hourly": "3"}, {"lately": 3}, "refuse"),
        # flags
        ({}, {"adopt": True}, "refuse"),
        ({"adopt": "true"}, {"adopt": True}, "allow"),
        ({}, {"path": True}, "refuse"),
        ({"paths": "true"}, {"path": True}, "allow"),
        ({"paths": "true"}, {}, "allow"),
        ({"adopt": "true"}, {"path": True}, "refuse"),
        ({}, {"numbers": ("user.gid",)}, "refuse"),
        ({"paths": "true"}, {"numbers": ("user.gid",)}, "refuse"),
        ({"numbers": "true"}, {"numbers": ("user.gid",)}, "allow"),
        ({"numbers": "true"}, {}, "allow"),
        ({}, {"action": "request.retry", "target": own(ANN)}, "allow"),
        ({}, {"action": "request.retry", "target": own(EVE)}, "refuse"),
        ({"others": "true"}, {"action": "request.retry", "target": own(EVE)}, "allow"),
        ({"review": "true"}, {}, "review"),
        ({"review": "true"}, {"approved": True}, "allow"),
        ({"who": ["eve"]}, {"approved": True}, "refuse"),
    ],
    ids=told,
)
def test_a_rule_fits_when_all_of_it_does(
    rule: dict[str, Any], asked: dict[str, Any], verdict: str
) -> None:
    rules = policy(rules=[{"who": ["ann"], "actions": ["*"], **rule}])
    given = Question(**{"action": "allocation.provision", **asked})
    assert rules.decide(ANN, given).verdict == verdict


def test_of_many_strangers_some_are_named() -> None:
    rules = policy(rules=[{"who": ["ann"], "actions": ["*"], "users": ["p-*"]}])
    names = {"user": tuple(f"u{number}" for number in range(9))}
    answer = rules.decide(ANN, Question("allocation.provision", names=names))
    assert answer.why == "ann may not ask for allocation.provision of u0, u1, u2, u3, u4 and 4 more"


@pytest.mark.parametrize(
    ("space", "verdict", "why"),
    [
        (5, "allow", ""),
        (6, "review", "a quota of 6 TiB is more than 5 TiB"),
        (51, "refuse", "a quota of 51 TiB is more than 5 TiB"),
    ],
)
def test_the_first_rule_that_fits_decides(space: int, verdict: str, why: str) -> None:
    answer = SIZES.decide(PORTAL, Question("allocation.provision", space=space * TIB))
    assert answer.verdict == verdict
    assert why in answer.why


def test_a_refusal_says_why_and_what_to_do() -> None:
    answer = SIZES.decide(PORTAL, Question("user.provision"))
    assert answer.why == "coldfront may not ask for user.provision; they may ask for allocation.*"
    assert answer.advice == "ask root or @hpc-staff to send it, or to change policy.rules"
    assert SIZES.decide(EVE, Question("reconcile")).why == "eve may not ask for anything here"


def test_a_review_says_who_may_release_it() -> None:
    answer = SIZES.decide(PORTAL, Question("allocation.provision", space=6 * TIB))
    assert answer.advice == "a release by one of root, @hpc-staff, but not by coldfront"
