"""A look is the same as the last one only if every value is, and that one left nothing to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.contract import Claim, Permanent, State
from provisioner.convergence.converge import Outcome
from provisioner.convergence.known import Known
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption

STATE: State = {"present": True, "limit": "5", "flag": True}
CLAIM = Claim("allocation:1", {"limit": "5"}, False, "portal", "01A")
SET = {"limit": {"set": ["5"], "before": None}}
ITEM = Item(
    "x/account/a",
    (CLAIM,),
    generation=3,
    identity={"uid": 5},
    applied=SET,
    adoption=Adoption.OURS,
    settled=True,
)
RESTS = Outcome(ITEM, STATE, adoption=Adoption.OURS)


def known(*outcomes: Outcome) -> Known:
    found = Known()
    for outcome in outcomes:
        found.note([outcome])
    return found


@pytest.mark.parametrize(
    "item",
    [
        ITEM,
        replace(ITEM, generation=4, attempts=1, waiting_since=2.0),
        replace(ITEM, claims=(replace(CLAIM, want={"limit": "5"}),)),
    ],
)
def test_the_same_values_are_known(item: Item) -> None:
    assert known(RESTS).same(item, dict(STATE))


@pytest.mark.parametrize(
    "item",
    [
        replace(ITEM, settled=False),
        replace(ITEM, claims=(replace(CLAIM, want={"limit": "6"}),)),
        replace(ITEM, claims=(replace(CLAIM, suspended=True),)),
        replace(ITEM, claims=(replace(CLAIM, source="other"),)),
        replace(ITEM, claims=(replace(CLAIM, order="01B"),)),
        replace(ITEM, claims=(replace(CLAIM, claimant="allocation:2"),)),
        replace(ITEM, claims=(CLAIM, replace(CLAIM, claimant="allocation:2"))),
        replace(ITEM, claims=()),
        replace(ITEM, prior={"limit": "5"}),
        replace(ITEM, identity={"uid": 6}),
        replace(ITEM, applied={}),
        replace(ITEM, adoption=None),
        replace(ITEM, awaited=True),
        replace(ITEM, key="x/account/b"),
    ],
)
def test_an_object_with_another_value_is_new(item: Item) -> None:
    assert not known(RESTS).same(item, STATE)


@pytest.mark.parametrize(
    "state",
    [
        {"present": False},
        {**STATE, "limit": "6"},
        {**STATE, "limit": 5},
        {**STATE, "flag": 1},
        {**STATE, "more": None},
    ],
)
def test_another_state_is_new(state: State) -> None:
    assert not known(RESTS).same(ITEM, state)


CLOSED = replace(ITEM, claims=(replace(CLAIM, suspended=True),))


@pytest.mark.parametrize(
    "outcome",
    [
        replace(RESTS, fault=Permanent("no")),
        replace(RESTS, changed=("limit 5",)),
        replace(RESTS, state={"present": False}),
        replace(RESTS, state=None),
        replace(RESTS, adoption=None),
        replace(RESTS, identity={"uid": 6}),
        replace(RESTS, identity={}),
        replace(RESTS, applied={}),
        replace(RESTS, item=replace(ITEM, prior={"limit": "5"})),
        replace(RESTS, item=CLOSED),
    ],
)
def test_a_look_that_leaves_something_makes_an_object_unknown(outcome: Outcome) -> None:
    state = outcome.state or STATE
    assert not known(RESTS, outcome).same(outcome.item, state)
    assert not known(RESTS, outcome).same(ITEM, STATE)


def test_what_is_kept_of_an_object_may_be_said_again() -> None:
    again = replace(RESTS, identity={"uid": 5}, applied=SET)
    assert known(again).same(ITEM, STATE)


def test_an_object_that_was_the_same_stays_known() -> None:
    assert known(RESTS, replace(RESTS, same=True)).same(ITEM, STATE)
