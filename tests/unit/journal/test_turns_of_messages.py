"""Which messages are sent next: those of different writers and requests take turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from provisioner.journal.journal import Journal
from provisioner.journal.outbox import messages
from provisioner.journal.outbox.messages import MAIL, Message
from provisioner.journal.records import request_rows
from provisioner.objects.states import MessageState
from tests.unit.journal.conftest import Places

ANN, BOB = 1001, 1002
FIRST, SECOND, THIRD = 1, 2, 3


@pytest.fixture
def conn(place: Places) -> Iterator[Connection]:
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        yield conn
    book.close()


def request(conn: Connection, number: int, uid: int) -> None:
    """Write a request of a submitter."""
    row = {
        "id": f"{number:026d}",
        "name": "r.yaml",
        "writer": f"uid-{uid}",
        "uid": uid,
        "action": "user.provision",
        "subject": "user:x",
        "digest": "",
        "body": b"",
        "state": "done",
        "accepted": 0.0,
    }
    request_rows.insert_requests(conn, [row])


def message(request: int, whom: str, made: float) -> Message:
    """Return a message about a request; 0: about none, as a digest is."""
    about = f"{request:026d}" if request else "day-19000000"
    return Message(
        id=f"{about}-{whom}",
        channel=MAIL,
        event="account_ready",
        person=whom,
        address=f"{whom}@campus.test",
        subject="",
        facts={},
        state=MessageState.WAITING,
        made=made,
        due=0.0,
    )


TABLE = {
    "the oldest of one request first": ({FIRST: ANN}, [(FIRST, "a"), (FIRST, "b")], "ab"),
    "requests of one writer by turns": (
        {FIRST: ANN, SECOND: ANN},
        [(FIRST, "a"), (FIRST, "b"), (FIRST, "c"), (SECOND, "x"), (SECOND, "y")],
        "axbyc",
    ),
    "writers by turns, however many requests one has": (
        {FIRST: ANN, SECOND: ANN, THIRD: BOB},
        [(FIRST, "a"), (FIRST, "b"), (SECOND, "c"), (SECOND, "d"), (THIRD, "x"), (THIRD, "y")],
        "axcybd",
    ),
    "what no request is behind has turns of its own": (
        {FIRST: ANN},
        [(FIRST, "a"), (FIRST, "b"), (0, "d")],
        "adb",
    ),
}
"""Who asked for each request; messages, the oldest first; in which order they go."""


@pytest.mark.parametrize("case", TABLE)
def test_messages_take_turns(conn: Connection, case: str) -> None:
    writers, waiting, order = TABLE[case]
    for number, uid in writers.items():
        request(conn, number, uid)
    messages.add(conn, [message(*one, float(made)) for made, one in enumerate(waiting)])
    for most in (100, 2):
        found = messages.due(conn, MAIL, 1.0, 2.0, most)
        assert "".join(one.person for one in found) == order[:most]


@pytest.mark.parametrize(
    "more",
    [
        {"channel": "hook"},
        {"due": 1.5},
        {"state": MessageState.SENT},
        {"address": "full@campus.test"},
    ],
)
def test_what_does_not_go_now_takes_no_turn(conn: Connection, more: dict[str, Any]) -> None:
    messages.add(conn, [replace(message(0, "a", 0.0), **more), message(0, "b", 1.0)])
    found = messages.due(conn, MAIL, 1.0, 2.0, 1, ["full@campus.test"])
    assert [one.person for one in found] == ["b"]
