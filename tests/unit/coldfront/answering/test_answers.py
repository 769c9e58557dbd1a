"""What a receipt means for one user."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from provisioner.coldfront.answering.answers import (
    CLOSED,
    FAILED,
    LEFT_OUT,
    READY,
    SHUT,
    TAKE_OVER,
    WAITING,
    Answer,
    Part,
    Parts,
    Stand,
    Use,
    own_parts,
    read,
    stand,
    use,
    worst,
)
from provisioner.contract import Permanent
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.errors import Error
from provisioner.objects.states import RequestState, StepState
from provisioner.outcome.outcomes import receipt_of
from provisioner.outcome.uses import Uses
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
    ("jdoe", "superseded", (), Stand(FAILED, "the request was superseded")),
]


@pytest.mark.parametrize(("user", "state", "steps", "expected"), STANDS)
def test_a_user_stands_as_their_own_parts_do(
    user: str, state: str, steps: tuple[StepRecord, ...], expected: Stand
) -> None:
    answer = receipt(state, *steps)
    assert stand(user, answer.state, answer.parts, answer.problems) == expected


OF_MANY = (
    Part("account", "ad", "done"),
    Part("users", "slurm", "due"),
    *(Part("users", "slurm", "due", f"u{number}") for number in range(50)),
    Part("disk", "gpfs", "failed", message="full"),
    Part(LEFT_OUT, "", "failed", "u7", "the name is protected"),
    Part(SHUT, "", CLOSED, "u8", "suspended (debt)"),
)


@pytest.mark.parametrize("user", ["u1", "u7", "u8", "u49", "nobody"])
def test_a_user_among_many_stands_as_by_the_parts_of_all(user: str) -> None:
    mine = Parts(OF_MANY).of(user)
    assert len(mine) <= 4
    assert stand(user, "failed", mine) == stand(user, "failed", OF_MANY)
    assert own_parts(user, mine) == own_parts(user, OF_MANY)


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


FILESET = StepRecord(
    request=ID,
    name="fileset",
    instance="fs1",
    state=StepState.DONE,
    ended=86400.0,
    objects=(ObjectRecord(key="k", item="", state=StepState.DONE, read_back={"present": True}),),
)
READ = Uses(lambda instance, state: {"space": 5, "files": 7})


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ({}, Use(5, 7, datetime(1970, 1, 2, tzinfo=UTC))),
        ({"k": (172800.0, {"space": 6})}, Use(6, None, datetime(1970, 1, 3, tzinfo=UTC))),
        ({"k": (1.0, {"space": 6})}, Use(5, 7, datetime(1970, 1, 2, tzinfo=UTC))),
    ],
    ids=["what the step read", "what was read later", "what was read before the step"],
)
def test_use_is_read_as_the_service_writes_it(newest: Any, expected: Use) -> None:
    uses = replace(READ, newest=lambda keys: newest).of([FILESET])
    text = dump(receipt_of(replace(RECORD, state=RequestState.DONE), [FILESET], uses=uses))
    answer = read(text.encode())
    assert answer is not None
    assert use(answer.whole) == expected


@pytest.mark.parametrize("at", ["yesterday", "2026-01-05", "2026-01-05T10:00:00", ["x"]])
def test_a_time_of_use_that_is_none_is_left_out(at: object) -> None:
    assert use({"steps": [{"use": {"space": 5, "at": at}}]}) == Use(5)


def test_a_handler_that_cannot_tell_use_leaves_the_receipt_whole() -> None:
    def fails(instance: str, state: object) -> dict[str, int]:
        raise Permanent("no use")

    assert Uses(fails).of([FILESET]) == {}
