"""What a want says of values that only an earlier step gives."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass

import pytest
from pydantic import BaseModel

from provisioner.contract import KnownAfter
from provisioner.contract.late import fits, steps_of, without_late

LATE = KnownAfter("account")


@dataclass(frozen=True)
class Plain:
    uid: int | KnownAfter


class Model(BaseModel):
    uid: int | KnownAfter


def test_a_late_value_stays_one_however_a_handler_makes_its_want() -> None:
    """Pydantic 2 and `dataclasses` make a mapping of a dataclass that they meet inside another."""
    want = {"uid": LATE}
    assert Model(uid=LATE).model_dump() == asdict(Plain(LATE)) == deepcopy(want) == want


def test_a_late_value_is_told_wherever_it_is() -> None:
    want = {"uid": LATE, "also": [{"gid": KnownAfter("group")}, 7]}
    assert list(steps_of(want)) == ["account", "group"]
    assert without_late(want) == {"uid": None, "also": [{"gid": None}, 7]}


@pytest.mark.parametrize(
    ("outline", "want", "fit"),
    [
        ({"uid": LATE}, {"uid": 2001}, True),
        ({"uid": LATE, "mail": LATE}, {"uid": 2001}, True),
        ({"uid": LATE, "quota": 5}, {"uid": 2001, "quota": 6}, False),
        ({"uid": LATE, "quota": None}, {"uid": 2001, "quota": 6}, False),
        ({"uid": LATE, "quota": 5}, {"uid": 2001}, False),
        ({"uid": LATE}, {"uid": 2001, "quota": 6}, False),
        ({"hosts": ("a", "b")}, {"hosts": ["a", "b"]}, True),
        ({"hosts": ("a", LATE)}, {"hosts": ["a"]}, False),
    ],
    ids=[
        *("known by now", "the step gave none", "another quota", "a quota that is left out"),
        *("a quota is missing", "a quota too many", "JSON has no tuples", "shorter"),
    ],
)
def test_a_want_fits_an_outline_in_all_that_the_outline_knows(
    outline: object, want: object, fit: bool
) -> None:
    assert fits(outline, want) is fit
