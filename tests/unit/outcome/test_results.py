"""Results: what happened and what to do next, in plain words, and nothing secret."""

from dataclasses import replace

import pytest
import yaml

from provisioner.contract import Json
from provisioner.objects.errors import Error
from provisioner.outcome.results import Result, StepResult, moment, render
from provisioner.system.ulid import RequestId

ACCOUNT = StepResult(
    name="account",
    handler="ad",
    state="done",
    changed=("create account jdoe", "mail -> jdoe@campus.test"),
    already=("ad/account/asmith",),
    read_back={"ad/account/jdoe": {"present": True, "uid": 10042}},
    started=1700000000.25,
    ended=1700000001.5,
    error=None,
)
QUOTA = StepResult(
    name="storage",
    handler="fs1",
    state="failed",
    changed=(),
    already=(),
    read_back={},
    started=1700000001.5,
    ended=1700000002.0,
    error=Error(
        type="Permanent",
        object="fs1/fileset/cf0003",
        message="mmcrfileset: no space",
        advice="free inodes on fs1",
    ),
)
DONE = Result(
    id=RequestId("01M83R3DXD32FV2KR2BYP24BAC"),
    name="a.yaml",
    action="user.provision",
    subject="user:jdoe",
    writer="coldfront",
    outcome="done",
    accepted=1700000000.0,
    ended=1700000002.0,
    steps=(ACCOUNT,),
    problems=(),
    retry="",
)
FAILED = replace(
    DONE,
    outcome="failed",
    steps=(ACCOUNT, QUOTA),
    retry=f"provisioner retry {DONE.id}",
)
REFUSED = replace(
    DONE,
    action="",
    subject="",
    outcome="refused",
    steps=(),
    problems=(
        {
            "line": 3,
            "key": "allocation.usrs",
            "message": "unknown key",
            "expected": "one of id, users",
            "nearest": "users",
        },
        {"line": None, "key": "", "message": "no action", "expected": "", "nearest": ""},
    ),
    retry=f"provisioner retry {DONE.id}",
)


def comment(text: str) -> str:
    return " ".join(line[2:] for line in text.splitlines() if line.startswith("# "))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (DONE, "Done. user.provision of user:jdoe, asked for by coldfront."),
        (DONE, "1 of 1 step done, 2 changes made, 1 object already as wanted."),
        (DONE, "Nothing needs to be done."),
        (FAILED, "Failed. user.provision of user:jdoe"),
        (FAILED, "1 of 2 steps done"),
        (FAILED, "Step storage (fs1) stopped on fs1/fileset/cf0003: mmcrfileset: no space."),
        (FAILED, "What to do: free inodes on fs1."),
        (
            FAILED,
            "Fix the problem above, then retry:     provisioner retry 01M83R3DXD32FV2KR2BYP24BAC",
        ),
        (
            replace(FAILED, problems=({"key": "user.full_name", "message": "left out U+00AD"},)),
            "user.full_name: left out U+00AD",
        ),
        (
            replace(FAILED, problems=({"key": "user.full_name", "message": "left out U+00AD"},)),
            "Fix the problem above, then retry:",
        ),
        (REFUSED, "Refused: nothing was done. a.yaml, asked for by coldfront."),
        (REFUSED, "Line 3, allocation.usrs: unknown key; expected: one of id, users; did you mean"),
        (REFUSED, "did you mean users? no action Fix the file"),
        (
            REFUSED,
            "and put it into staging again; to retry the same file:     provisioner retry 01M8",
        ),
        (replace(DONE, outcome="superseded"), "Superseded: a newer request replaced it"),
    ],
)
def test_the_comment_says_what_happened_and_what_to_do(result: Result, says: str) -> None:
    assert says in comment(render(result))


def test_lines_of_the_comment_are_short_and_come_first() -> None:
    error = Error(type="Permanent", message="it said " * 80, advice="look " * 60)
    long = replace(QUOTA, error=error)
    lines = render(replace(FAILED, steps=(long,))).splitlines()
    commented = [line for line in lines if line.startswith("#")]
    assert all(len(line) <= 100 for line in commented)
    assert lines[: len(commented)] == commented


def test_the_document_has_every_step_in_full() -> None:
    document = yaml.safe_load(render(FAILED))
    assert document["outcome"] == "failed"
    assert document["retry"] == f"provisioner retry {DONE.id}"
    account, storage = document["steps"]
    assert (account["step"], account["handler"], account["state"]) == ("account", "ad", "done")
    assert account["changed"] == ["create account jdoe", "mail -> jdoe@campus.test"]
    assert account["already"] == ["ad/account/asmith"]
    assert account["read_back"] == {"ad/account/jdoe": {"present": True, "uid": 10042}}
    assert str(account["started"]) == "2023-11-14T22:13:20.250Z"
    assert QUOTA.error is not None
    assert storage["error"] == QUOTA.error.words()
    assert "changed" not in storage


def test_a_refusal_lists_all_problems_without_what_is_not_known() -> None:
    document = yaml.safe_load(render(REFUSED))
    assert document["problems"] == [
        {
            "line": 3,
            "key": "allocation.usrs",
            "message": "unknown key",
            "expected": "one of id, users",
            "nearest": "users",
        },
        {"message": "no action"},
    ]


def test_nothing_that_looks_like_a_secret_is_written() -> None:
    state: dict[str, Json] = {
        "present": True,
        "userPassword": "hunter2",
        "nested": {"api_token": ["hunter2"], "client-secret": "hunter2", "unicodePwd": "hunter2"},
        "list": [{"private_key": "hunter2"}],
    }
    text = render(replace(DONE, steps=(replace(ACCOUNT, read_back={"k": state}),)))
    assert "hunter2" not in text
    assert "(withheld)" in text


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\x00", "\u202e", "\x85", "\u2028", "\udcff"])
def test_control_characters_are_escaped_everywhere(hostile: str) -> None:
    step = replace(
        ACCOUNT,
        changed=(f"set {hostile}",),
        read_back={"k": {"a": f"b{hostile}"}},
        error=Error(type="Permanent", message=f"said {hostile}", object=f"o{hostile}"),
    )
    problem = {"message": f"bad {hostile}", "key": f"k{hostile}"}
    text = render(replace(DONE, name=f"n{hostile}", steps=(step,), problems=(problem,)))
    assert hostile not in text
    assert text.isascii()
    yaml.safe_load(text)


def test_a_line_end_in_a_message_does_not_leave_the_comment() -> None:
    message = "one\noutcome: done\n- x"
    error = Error(type="Permanent", message=message, object="o", advice="a\nb: c")
    document = yaml.safe_load(render(replace(FAILED, steps=(replace(QUOTA, error=error),))))
    assert document["outcome"] == "failed"
    assert document["steps"][0]["error"]["message"] == message


def test_moments_are_iso_8601_in_utc() -> None:
    assert moment(1700000000.25) == "2023-11-14T22:13:20.250Z"
