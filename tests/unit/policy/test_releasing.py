"""Who may release what is held: a second person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.policy.rules import Question, Target
from provisioner.system.ulid import RequestId
from provisioner.system.users import Submitter
from tests.support.policies import ANN, EVE, PORTAL, ROOT, SERVICE, SIZES, own, policy, told


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
    return Target(RequestId("01J"), who.uid, who.name, held_by, person)


@pytest.mark.parametrize(
    ("who", "person", "target", "verdict"),
    [
        (PORTAL, "bob", held(PORTAL, "ann"), "allow"),
        (PORTAL, "bob", held(PORTAL, None), "allow"),
        (PORTAL, "ann", held(PORTAL, "ann"), "refuse"),
        (PORTAL, "Ann", held(PORTAL, "ann"), "refuse"),
        (PORTAL, None, held(PORTAL, "ann"), "refuse"),
        (PORTAL, None, held(PORTAL, None), "refuse"),
        (PORTAL, "ann", held(PORTAL, "ann", "coldfront for ann"), "allow"),
        (PORTAL, "ann", held(PORTAL, "ann", "coldfront for bob"), "refuse"),
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
        "what another person held",
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
        (True, B, "refuse", f"the release is for the digest {B}, but 01J has {A}"),
        (False, None, "allow", ""),
        (False, A, "allow", ""),
        (False, B, "refuse", f"the release is for the digest {B}, but 01J has {A}"),
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
    assert answer.advice == "cancel it, and have it sent again"


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
