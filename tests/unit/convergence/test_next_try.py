"""What becomes of an object after a try, by the fault and by how long it has been tried."""

from __future__ import annotations

import pytest

from provisioner.contract import (
    Conflict,
    Fault,
    NotReady,
    Permanent,
    Refused,
    Transient,
    Unavailable,
    Unknown,
)
from provisioner.convergence.existing import Differs
from provisioner.convergence.next_try import (
    Away,
    Converged,
    GiveUp,
    NextTry,
    Patience,
    Retry,
    Tried,
    next_try,
)
from provisioner.objects.states import Adoption

PATIENCE = Patience(first=2.0, most=60.0, tries=3, days=1.0)
DAY = 86400.0

AWAY, NO, ODD, LATER = Unavailable("away"), Transient("no"), Unknown("odd"), NotReady("later")
DIFFERS, TAKEN, BAD = Differs("differs"), Conflict("another's"), Refused("bad")

TRIES: dict[str, tuple[Tried, NextTry]] = {
    "as wanted": (Tried(None, 2, 5.0), Converged()),
    "the backend is away": (Tried(AWAY, 2, 9 * DAY), Away(AWAY, 2)),
    "away while observing": (Tried(AWAY, 0, 0.0, observing=True), Away(AWAY, 0)),
    "refused for the first time": (Tried(NO, 0, 0.0), Retry(NO, 1, 2.0)),
    "refused for the second time": (Tried(NO, 1, 9.0), Retry(NO, 2, 4.0)),
    "refused while observing": (Tried(NO, 2, 9.0, observing=True), Retry(NO, 2, 4.5)),
    "not known what came of it": (Tried(ODD, 0, 0.0), Retry(ODD, 1, 2.0)),
    "not ready": (Tried(LATER, 7, 0.0), Retry(LATER, 7, 2.0)),
    "not ready for a while": (Tried(LATER, 0, 20.0), Retry(LATER, 0, 10.0)),
    "not ready for long": (Tried(LATER, 0, DAY), Retry(LATER, 0, 60.0)),
    "for days, observing": (Tried(LATER, 0, 9 * DAY, observing=True), Retry(LATER, 0, 60.0)),
    "another's": (Tried(TAKEN, 0, 0.0), GiveUp(TAKEN, 0)),
    "another's, observing": (Tried(TAKEN, 0, 0.0, observing=True), Retry(TAKEN, 0, 2.0)),
    "bad": (Tried(BAD, 1, 0.0), GiveUp(BAD, 1)),
    "adopted, and differs": (Tried(DIFFERS, 0, 0.0, Adoption.NEW, True), GiveUp(DIFFERS, 0)),
    "differs still": (Tried(DIFFERS, 0, 0.0, Adoption.DIFFERS), GiveUp(DIFFERS, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIES)
def test_an_object_is_tried_again_as_its_fault_says(name: str) -> None:
    tried, expected = TRIES[name]
    assert next_try(tried, PATIENCE) == expected


@pytest.mark.parametrize(
    ("fault", "attempts", "waited", "told"),
    [
        (NO, 2, 9.0, "no (tried 3 times)"),
        (ODD, 2, 9.0, "odd (tried 3 times)"),
        (LATER, 0, DAY + 1, "later (waited 1 days)"),
    ],
)
def test_patience_ends_with_a_fault_that_says_how_long_it_was(
    fault: Fault, attempts: int, waited: float, told: str
) -> None:
    given_up = next_try(Tried(fault, attempts, waited), PATIENCE)
    assert isinstance(given_up, GiveUp)
    assert isinstance(given_up.fault, Permanent)
    assert given_up.fault.message == told
