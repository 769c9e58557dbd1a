"""Who loses something when claims change, by table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.contract import Claim
from provisioner.objects.losses import Nature, Shift, losing, people_of, shutting

ANN, BOB = "user:ann", "user:bob"
OF_ANN, OF_BOB = f"allocation:1/{ANN}", f"allocation:1/{BOB}"
PEOPLE = people_of([("a/member/cf/ann", OF_ANN), ("a/member/cf/bob", OF_BOB)])


@pytest.mark.parametrize(
    ("gone", "left", "found"),
    [
        ([], [], set()),
        ([("a/member/cf/ann", OF_ANN)], [], {ANN}),
        ([("a/member/cf/ann", OF_ANN), ("b/assoc/cf/ann", OF_ANN)], [], {ANN}),
        ([("a/member/cf/ann", OF_ANN)], [("a/member/cf/ann", f"allocation:2/{ANN}")], set()),
        ([("a/member/cf/ann", OF_ANN)], [("b/member/cf/ann", OF_ANN)], {ANN}),
        ([("a/all", OF_ANN)], [("a/all", f"allocation:2/{BOB}")], {ANN}),
        ([("a/account/ann", ANN)], [], {ANN}),
        ([("a/fileset/cf", "allocation:1")], [], {ANN, BOB}),
        ([("a/fileset/cf", "allocation:1")], [("a/fileset/cf", "allocation:2")], set()),
        ([("a/fileset/cf", "allocation:1")], [("a/fileset/other", "allocation:1")], {ANN, BOB}),
        ([("a/fileset/cf", "allocation:2")], [], set()),
    ],
    ids=[
        "nothing goes",
        "a membership goes",
        "two things of one person go",
        "another allocation keeps it",
        "it comes elsewhere",
        "another person keeps theirs",
        "an account goes",
        "a fileset goes",
        "another allocation keeps the fileset",
        "another fileset comes",
        "of a subject without people",
    ],
)
def test_who_has_a_thing_now_and_has_it_from_nobody_afterwards_loses_something(
    gone: list[tuple[str, str]], left: list[tuple[str, str]], found: set[str]
) -> None:
    assert losing(gone, left, PEOPLE) == found


def test_the_people_of_a_subject_are_those_whom_its_claims_are_for() -> None:
    claims = [("a/group/cf", "project:CF"), ("a/member/cf/ann", OF_ANN), ("a/account/bob", BOB)]
    assert people_of(claims) == {"allocation:1": {ANN}, BOB: {BOB}}


class Walked(list[Claim]):
    """Claims that count how often somebody goes through them."""

    times = 0

    def __iter__(self) -> Iterator[Claim]:
        self.times += 1
        return super().__iter__()


def test_the_claims_on_an_object_are_not_searched_for_each_that_comes() -> None:
    claims = Walked([Claim(f"allocation:1/user:u{number}", {}) for number in range(40)])
    coming = {("a/all", f"allocation:{n % 2 + 1}/user:u{n}"): {"x": n} for n in range(40)}
    assert shutting({"a/all": claims}, Shift(), Shift(coming=coming), Nature()) == set()
    assert claims.times < 5
