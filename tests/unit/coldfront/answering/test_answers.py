"""What a receipt means for one user."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.coldfront.answering.answers import (
    FAILED,
    READY,
    TAKE_OVER,
    WAITING,
    Answer,
    Part,
    Stand,
    read,
    stand,
    worst,
)
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.errors import Error
from provisioner.objects.states import RequestState, StepState
from provisioner.outcome.outcomes import receipt_of
from provisioner.request.documents import dump
from provisioner.system.ulid import RequestId
from tests.support.records import a_request

ID = RequestId("i")
ACCOUNT = StepRecord(request=ID, name="account", instance="slurm-a", state=StepState.DONE)
NO_UID = Error(type="NotReady", message="no uid", advice="ask")
FOR_EACH = StepRecord(
    request=ID,
    name="users",
    instance="slurm-a",
    state=StepState.FAILED,
    objects=(
        ObjectRecord(key="k1", item="jdoe", state=StepState.DONE),
        ObjectRecord(key="k2", item="asmith", state=StepState.FAILED, error=NO_UID),
    ),
)


RECORD = a_request()


def receipt(state: str, *steps: StepRecord) -> Answer:
    """Read what the service itself writes."""
    record = replace(RECORD, state=RequestState(state))
    found = read(dump(receipt_of(record, steps)).encode())
    assert found is not None
    return found


def test_a_receipt_tells_each_step_and_each_users_part() -> None:
    assert receipt("failed", ACCOUNT, FOR_EACH).parts == (
        Part("account", "slurm-a", "done"),
        Part("users", "slurm-a", "failed"),
        Part("users", "slurm-a", "done", "jdoe"),
        Part("users", "slurm-a", "failed", "asmith", "no uid", "ask", "NotReady"),
    )


def advice_of(error: Error) -> str:
    """Return what a page advises about an error."""
    (part,) = receipt("failed", replace(ACCOUNT, state=StepState.FAILED, error=error)).parts
    return part.advice


def test_what_may_be_taken_over_is_advised_for_coldfront_whatever_the_service_advises() -> None:
    error = Error(type="Conflict", message="m", advice="say it in the route")
    assert advice_of(replace(error, adoptable=True)) == TAKE_OVER
    assert advice_of(error) == "say it in the route"
    denied = replace(error, advice="`adopt: true` does not help here")
    assert advice_of(denied) == denied.advice


@pytest.mark.parametrize(
    ("said", "told"), [("set `adopt: true` in it", TAKE_OVER), ("look at it", "look at it")]
)
def test_of_a_receipt_before_the_field_the_advice_tells_it(said: str, told: str) -> None:
    answer = read(
        f"state: failed\nsteps:\n- step: a\n  handler: h\n  state: failed\n  problems:\n"
        f"  - {{user: '', type: Conflict, message: m, advice: '{said}'}}\n".encode()
    )
    assert answer is not None
    assert [part.advice for part in answer.parts] == [told]


STANDS = [
    ("jdoe", "done", (), Stand(READY)),
    ("jdoe", "held", (), Stand(WAITING, "held")),
    ("jdoe", "failed", (ACCOUNT, FOR_EACH), Stand(READY)),
    ("asmith", "failed", (ACCOUNT, FOR_EACH), Stand(FAILED, "users: no uid", "ask")),
    ("jdoe", "refused", (), Stand(FAILED, "the request was refused")),
    ("jdoe", "superseded", (), Stand(READY)),
]


@pytest.mark.parametrize(("user", "state", "steps", "expected"), STANDS)
def test_a_user_stands_as_their_own_parts_do(
    user: str, state: str, steps: tuple[StepRecord, ...], expected: Stand
) -> None:
    answer = receipt(state, *steps)
    assert stand(user, answer.state, answer.parts, answer.problems) == expected


def test_what_the_service_only_observes_is_still_to_come() -> None:
    record = replace(RECORD, state=RequestState.DEFERRED)
    answer = read(dump(receipt_of(record, (ACCOUNT, FOR_EACH), observing=True)).encode())
    assert answer is not None
    assert answer.state == "observed"


@pytest.mark.parametrize("text", [b"", b"x", b"state: [a]\n", b"\xff", b"a: *b\n"])
def test_what_is_no_receipt_says_nothing(text: bytes) -> None:
    assert read(text) is None


def test_of_a_receipt_with_very_many_users_the_outcome_is_read() -> None:
    many = "".join(f"      user{number}: done\n" for number in range(20_000))
    text = f"state: failed\nsteps:\n  - step: users\n    users:\n{many}"
    assert read(text.encode()) == Answer("failed", {"state": "failed"})


def test_what_failed_is_said_first() -> None:
    assert worst([Stand(READY), Stand(FAILED, "x"), Stand(WAITING)]) == Stand(FAILED, "x")


@pytest.mark.parametrize("key", ["allocation.users[2]", "allocation.users.1", "project.users[2]"])
def test_a_user_who_was_left_out_is_known_by_their_place_in_the_list(key: str) -> None:
    problem = {"key": key, "message": "root is left out", "expected": "remove the user"}
    answer = read(dump({"state": "done", "problems": [problem]}).encode())
    assert answer is not None
    assert {place: part.message for place, part in answer.left_out.items()} == {
        1: "root is left out"
    }
