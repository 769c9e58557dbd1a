"""Whose an object is, and whether it may be changed: the one table of all handlers."""

from __future__ import annotations

from itertools import product

import pytest

from provisioner.contract import Change, Conflict, Existing, Whose, owned, whose_mark
from provisioner.contract.ownership import Verdict, verdict

CHANGE, TAKE_OVER, LEAVE, REFUSE = Verdict.CHANGE, Verdict.TAKE_OVER, Verdict.LEAVE, Verdict.REFUSE

TABLE = {
    # whose: unclaimed, as wanted, differs, differs and may be taken over
    Whose.OURS: (CHANGE, CHANGE, CHANGE, CHANGE),
    Whose.NOBODYS: (LEAVE, TAKE_OVER, REFUSE, TAKE_OVER),
    Whose.ANOTHERS: (LEAVE, REFUSE, REFUSE, REFUSE),
}
KEY = "ad/account/jdoe"
SET = Change(KEY, "set", "shell /bin/sh -> /bin/bash")
MARK = Change(KEY, "adopt", "adopt: mark as ours")


@pytest.mark.parametrize("whose", Whose)
def test_what_may_be_done_with_an_object_is_one_table(whose: Whose) -> None:
    assert TABLE[whose] == (
        verdict(whose, claimed=False, differs=True, adopt=False),
        verdict(whose, claimed=True, differs=False, adopt=False),
        verdict(whose, claimed=True, differs=True, adopt=False),
        verdict(whose, claimed=True, differs=True, adopt=True),
    )


@pytest.mark.parametrize("whose", [Whose.NOBODYS, Whose.ANOTHERS])
@pytest.mark.parametrize(("differs", "adopt"), [*product([False, True], repeat=2)])
def test_what_nobody_claims_and_is_not_ours_is_left(
    whose: Whose, differs: bool, adopt: bool
) -> None:
    assert verdict(whose, claimed=False, differs=differs, adopt=adopt) is LEAVE


@pytest.mark.parametrize(
    ("mark", "whose"),
    [
        ("hpc1:ad/account/jdoe", Whose.OURS),
        ("hpc2:ad/account/jdoe", Whose.ANOTHERS),
        ("", Whose.NOBODYS),
    ],
)
def test_a_mark_says_whose_an_object_is(mark: str, whose: Whose) -> None:
    assert whose_mark(mark, "hpc1:ad/account/jdoe") is whose


def existing(whose: Whose, differs: str = "") -> Existing:
    return Existing("CN=jdoe", whose, "was not made here", differs)


def test_what_is_taken_over_is_noted_as_ours_before_it_is_changed() -> None:
    found = existing(Whose.NOBODYS)
    assert owned(KEY, found, lambda: [SET], lambda: [MARK], adopt=True) == [MARK, SET]
    assert owned(KEY, found, lambda: [], lambda: [MARK]) == [MARK]


def test_a_conflict_names_the_object_whose_it_is_and_what_differs() -> None:
    with pytest.raises(Conflict) as raised:
        owned(KEY, existing(Whose.NOBODYS), lambda: [SET])
    told = "ad/account/jdoe: CN=jdoe was not made here, and it differs: shell /bin/sh -> /bin/bash"
    assert raised.value.message == told


def test_a_difference_that_no_change_says_is_one_too() -> None:
    with pytest.raises(Conflict, match="it differs: it is wanted for 20001"):
        owned(KEY, existing(Whose.NOBODYS, "it is wanted for 20001"), lambda: [])


def test_of_what_is_anothers_nobody_asks_what_would_be_changed() -> None:
    def changes() -> list[Change]:
        raise AssertionError

    with pytest.raises(Conflict, match="was not made here"):
        owned(KEY, existing(Whose.ANOTHERS), changes, adopt=True)
    assert owned(KEY, existing(Whose.ANOTHERS), changes, claimed=False) == []
