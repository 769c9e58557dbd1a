"""Who may ask for what, by table: rules in order, limits, protected names, and crowds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.config.schema import Config, PolicyConfig, load
from provisioner.contract import ConfigError
from provisioner.policy.policy import Policy
from provisioner.policy.rules import Question, Target, question
from provisioner.request.request import parse_request
from provisioner.system.users import Submitter

ROOT = Submitter(0, "root")
SERVICE = Submitter(990, "provisioner")
PORTAL = Submitter(991, "coldfront", frozenset({"portals"}))
ANN = Submitter(2001, "ann", frozenset({"ann", "hpc-staff"}))
EVE = Submitter(2002, "eve", frozenset({"eve"}))

TIB = 2**40


def policy(group: str | None = None, **config: Any) -> Policy:
    return Policy(PolicyConfig.model_validate(config), group, SERVICE.uid)


def own(who: Submitter, held_by: str | None = None) -> Target:
    return Target("01J", who.uid, who.name, held_by)


def told(value: object) -> str:
    """Name a case: the same in every process, which a set's own text is not."""
    match value:
        case Submitter():
            return value.name
        case Target():
            return f"of {value.writer}, held by {value.held_by}"
        case frozenset():
            return "+".join(sorted(value))
        case dict():
            return ",".join(f"{key}={told(one)}" for key, one in value.items()) or "-"
        case _:
            return str(value)


# Without rules.


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


# Rules: one line each, and the question that it does or does not fit.

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


SIZES = policy(
    rules=[
        {"who": ["coldfront"], "actions": ["allocation.*"], "space": "5TiB"},
        {"who": ["coldfront"], "actions": ["allocation.*"], "space": "50TiB", "review": "yes"},
        {"who": ["@hpc-staff"], "actions": ["*"], "others": "yes", "adopt": "yes"},
    ]
)


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
    assert answer.why == "coldfront may not ask for user.provision; they may for allocation.*"
    assert answer.advice == "ask root or @hpc-staff to send it, or to change policy.rules"
    assert SIZES.decide(EVE, Question("reconcile")).why == "eve may not ask for anything here"


def test_a_review_says_who_may_release_it() -> None:
    answer = SIZES.decide(PORTAL, Question("allocation.provision", space=6 * TIB))
    assert answer.advice == "a release by one of root, @hpc-staff, but not coldfront"


# Releasing.


@pytest.mark.parametrize(
    ("who", "target", "verdict"),
    [
        (ANN, own(PORTAL, "the policy"), "allow"),
        (ROOT, own(PORTAL, "the policy"), "allow"),
        (ANN, own(ANN, "the policy"), "refuse"),
        (ROOT, own(ROOT, "the policy"), "refuse"),
        (ANN, own(ANN, "root"), "refuse"),
        (ANN, own(ANN, "ann"), "allow"),
        (PORTAL, own(EVE, "the policy"), "refuse"),
    ],
    ids=told,
)
def test_nobody_releases_their_own_but_what_they_held_themselves(
    who: Submitter, target: Target, verdict: str
) -> None:
    assert SIZES.decide(who, Question("request.release", target=target)).verdict == verdict


SPOKEN = policy(
    portals=["coldfront"],
    rules=[
        {"who": ["coldfront"], "actions": ["*"]},
        {"who": ["eve"], "actions": ["*"]},
        {"who": ["@hpc-staff"], "actions": ["*"], "others": "yes"},
    ],
)


def held(who: Submitter, person: str | None, held_by: str = "the policy") -> Target:
    return Target("01J", who.uid, who.name, held_by, person)


@pytest.mark.parametrize(
    ("who", "person", "target", "verdict"),
    [
        (PORTAL, "bob", held(PORTAL, "ann"), "allow"),
        (PORTAL, "bob", held(PORTAL, None), "allow"),
        (PORTAL, "ann", held(PORTAL, "ann"), "refuse"),
        (PORTAL, "Ann", held(PORTAL, "ann"), "refuse"),
        (PORTAL, None, held(PORTAL, "ann"), "refuse"),
        (PORTAL, None, held(PORTAL, None), "refuse"),
        (PORTAL, "ann", held(PORTAL, "ann", "coldfront"), "allow"),
        (PORTAL, "bob", held(EVE, "ann"), "refuse"),
        (EVE, "bob", held(EVE, "ann"), "refuse"),
        (EVE, "bob", held(EVE, None), "refuse"),
        (ANN, None, held(PORTAL, "bob"), "allow"),
        (ROOT, "bob", held(ROOT, None), "refuse"),
        (ROOT, None, held(ROOT, None), "refuse"),
    ],
    ids=[
        "another person",
        "a person, of what a program asked",
        "the same person",
        "the same person in capitals",
        "no person",
        "no person, of what a program asked",
        "what they held themselves",
        "of another writer",
        "no portal",
        "no portal, of what a program asked",
        "somebody with rights of their own",
        "root, whoever it speaks for",
        "root for itself",
    ],
)
def test_a_portals_person_releases_what_another_person_asked_for(
    who: Submitter, person: str | None, target: Target, verdict: str
) -> None:
    asked = Question("request.release", target=target, on_behalf_of=person)
    assert SPOKEN.decide(who, asked).verdict == verdict


OP1 = Submitter(2003, "op1", frozenset({"hpc-staff"}))
BELIEVED = policy(
    portals=["coldfront"],
    persons={"jane.doe": "ann", "adm-ann": "ann"},
    rules=[{"who": ["coldfront", "@hpc-staff"], "actions": ["*"], "others": "yes"}],
)


@pytest.mark.parametrize(
    ("who", "person", "target", "verdict"),
    [
        (OP1, None, held(PORTAL, "op1"), "refuse"),
        (OP1, None, held(PORTAL, "Op1"), "refuse"),
        (OP1, None, held(PORTAL, "op2"), "allow"),
        (OP1, None, held(PORTAL, None), "allow"),
        (PORTAL, "op1", held(OP1, None), "refuse"),
        (PORTAL, "OP1", held(OP1, None), "refuse"),
        (PORTAL, "op2", held(OP1, None), "allow"),
        (PORTAL, "root", held(ROOT, None), "refuse"),
        (ROOT, None, held(PORTAL, "root"), "refuse"),
        (ROOT, "op2", held(ROOT, "op1"), "refuse"),
        (ROOT, "op1", held(PORTAL, "op1"), "refuse"),
        (ANN, None, held(PORTAL, "jane.doe"), "refuse"),
        (ANN, None, held(Submitter(2004, "adm-ann"), None), "refuse"),
        (PORTAL, "Jane.Doe", held(ANN, None), "refuse"),
        (PORTAL, "jane.doe", held(Submitter(2004, "adm-ann"), None), "refuse"),
        (OP1, None, held(Submitter(2009, "op1"), None), "refuse"),
        (OP1, None, held(Submitter(2003, "former"), None), "refuse"),
        (OP1, "ann", held(PORTAL, "ann"), "allow"),
        (OP1, None, replace(held(EVE, None), behind=("op1", "uid-2003")), "refuse"),
        (OP1, None, replace(held(EVE, None), behind=("former", "uid-2003")), "refuse"),
        (PORTAL, "op1", replace(held(PORTAL, None), behind=("op1",)), "refuse"),
        (OP1, None, held(PORTAL, "op1", "op1"), "allow"),
        (OP1, None, held(PORTAL, "op1", "ann"), "refuse"),
    ],
    ids=[
        "asked by the portal, released on the host",
        "the same in capitals",
        "asked by the portal for another",
        "asked by the portal for nobody",
        "asked on the host, released by the portal",
        "the same in capitals, too",
        "asked on the host by another",
        "root by the portal",
        "the portal's root on the host",
        "root for two others",
        "root for who asked",
        "a portal's other name",
        "another account of the same person",
        "a portal's other name, the other way round",
        "two other names of one person",
        "another uid of that name",
        "the uid under another name",
        "who is no portal speaks for nobody",
        "who sent what another signed",
        "who sent it under another name",
        "for whom a manifest was sent",
        "their own hold of what they asked for",
        "another's hold of what they asked for",
    ],
)
def test_whoever_asked_by_whatever_account_or_portal_does_not_release(
    who: Submitter, person: str | None, target: Target, verdict: str
) -> None:
    asked = Question("request.release", target=target, on_behalf_of=person)
    answer = BELIEVED.decide(who, asked)
    assert answer.verdict == verdict
    assert ("nobody releases their own" in answer.why) is (verdict == "refuse")


A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("reviewed", "digest", "verdict", "told"),
    [
        (True, A, "allow", ""),
        (True, None, "refuse", "the release has no digest"),
        (True, B, "refuse", f"what was looked at has the digest {B}, and 01J has {A}"),
        (False, None, "allow", ""),
        (False, A, "allow", ""),
        (False, B, "refuse", f"what was looked at has the digest {B}, and 01J has {A}"),
    ],
)
@pytest.mark.parametrize("who", [ANN, ROOT], ids=["ann", "root"])
def test_what_is_released_is_what_was_looked_at(
    who: Submitter, reviewed: bool, digest: str | None, verdict: str, told: str
) -> None:
    target = replace(held(EVE, None), reviewed=reviewed, digest=A)
    answer = BELIEVED.decide(who, Question("request.release", target=target, digest=digest))
    assert answer.verdict == verdict
    assert told in answer.why
    assert ("provisioner show 01J" in answer.advice) is (verdict == "refuse")


def test_who_may_not_release_is_told_no_digest() -> None:
    target = replace(held(PORTAL, None), reviewed=True, digest=A)
    answer = BELIEVED.decide(EVE, Question("request.release", target=target, digest=B))
    assert A not in answer.why


def test_a_portal_that_names_nobody_is_no_second_person() -> None:
    asked = Question("request.release", target=replace(held(EVE, None), reviewed=True, digest=A))
    answer = BELIEVED.decide(PORTAL, replace(asked, digest=A))
    assert (answer.verdict, "names no person" in answer.why) == ("refuse", True)


def test_what_nobody_knows_any_more_who_asked_for_is_not_released() -> None:
    target = replace(held(PORTAL, None), behind=None, reviewed=True, digest=A)
    answer = BELIEVED.decide(ROOT, Question("request.release", target=target, digest=A))
    assert answer.verdict == "refuse"
    assert answer.advice == "cancel it, and have it sent anew"


@pytest.mark.parametrize(
    ("portals", "who", "believed"),
    [
        (["coldfront"], PORTAL, "ann"),
        (["@portals"], PORTAL, "ann"),
        ([], PORTAL, None),
        (["coldfront"], EVE, None),
        ([], ROOT, "ann"),
        ([], SERVICE, "ann"),
    ],
    ids=told,
)
def test_whom_a_request_names_is_believed_from_portals_and_who_could_write_the_journal(
    portals: list[str], who: Submitter, believed: str | None
) -> None:
    assert policy(portals=portals).believed(who, "ann") == believed


def test_a_portal_without_the_right_to_release_releases_for_nobody() -> None:
    rules = policy(portals=["coldfront"], rules=[{"who": ["coldfront"], "actions": ["user.*"]}])
    asked = Question("request.release", target=held(PORTAL, "ann"), on_behalf_of="bob")
    assert rules.decide(PORTAL, asked).verdict == "refuse"


def test_a_review_says_that_another_of_the_portals_persons_may_release_it() -> None:
    rules = policy(
        portals=["coldfront"],
        rules=[
            {"who": ["coldfront"], "actions": ["user.provision"], "review": "yes"},
            {"who": ["coldfront"], "actions": ["request.*"]},
        ],
    )
    answer = rules.decide(PORTAL, Question("user.provision"))
    assert answer.advice == "a release by one of root, or by coldfront for another person"


# Protected names.

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


# Crowds.


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


# The configuration.

HEADER = "service: test\nspool: spool\njournal: journal.db\n"


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "provisioner.yaml"
    path.write_text(HEADER + text)
    return load(path)


def test_an_action_that_nothing_matches_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 6: .*'alocation.\*' is no action"):
        loaded(tmp_path, "policy:\n  rules:\n  - {who: [ann], actions: ['alocation.*']}\n")


def test_sizes_and_numbers_of_rules_are_written_as_in_requests(tmp_path: Path) -> None:
    text = "policy:\n  rules:\n  - {who: [ann], actions: ['*'], space: 5TiB, files: 2000000}\n"
    rules = loaded(tmp_path, text).policy.rules
    assert rules is not None
    assert (rules[0].space, rules[0].files) == (5 * TIB, 2000000)
