"""The chain of events: whatever is done to it behind the service's back is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from provisioner.contract import InvalidRequest
from provisioner.journal import audit
from provisioner.journal.audit import GENESIS, Event, Head
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from provisioner.journal.schema import events, requests
from provisioner.system.ulid import RequestId
from tests.unit.journal.conftest import Places

BODY = b"provisioner: 1\n"


@pytest.fixture
def conn(place: Places) -> Iterator[Connection]:
    """A journal with three requests: events 1 to 9."""
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        for number in range(1, 4):
            accept(conn, RequestId(f"R{number}"), f"user:u{number}", at=number)
        yield conn
    book.close()


def accept(conn: Connection, request: RequestId, subject: str, *, at: float) -> None:
    """Add a request that is done: three events."""
    row: dict[str, Any] = {
        "id": request,
        "name": "r.yaml",
        "writer": "jdoe",
        "uid": 1000,
        "action": "user.provision",
        "subject": subject,
        "digest": hashlib.sha256(BODY).hexdigest(),
        "body": BODY,
        "state": "accepted",
        "accepted": at,
    }
    request_rows.insert_requests(conn, [row])
    read_back = {"present": True, "name": "Jürgen", "share": 0.1}
    made = Event(request, audit.OBJECT, "fs/home", subject, {"read_back": read_back})
    audit.append(conn, [audit.arrival(row, "r.yaml", "ticket 1"), made], at)
    request_rows.end_requests(conn, {request: "done"}, at)


def alter(number: int, **values: Any) -> Callable[[Connection], object]:
    return lambda conn: conn.execute(update(events).where(events.c.seq == number).values(**values))


def remove(*numbers: int) -> Callable[[Connection], object]:
    return lambda conn: conn.execute(delete(events).where(events.c.seq.in_(numbers)))


def row_of(conn: Connection, number: int) -> dict[str, Any]:
    return dict(conn.execute(select(events).where(events.c.seq == number)).one()._mapping)


def put_between(conn: Connection) -> None:
    """Put an event between 4 and 5, with the right hashes, and let the others move up."""
    conn.execute(update(events).where(events.c.seq > 4).values(seq=events.c.seq + 100))
    conn.execute(update(events).where(events.c.seq > 100).values(seq=events.c.seq - 99))
    row = row_of(conn, 4)
    row.update(seq=5, text="more", previous=row["hash"])
    conn.execute(insert(events), sealed(row))


def swap(conn: Connection) -> None:
    """Let events 4 and 5 change places."""
    for old, new in ((4, 400), (5, 4), (400, 5)):
        conn.execute(update(events).where(events.c.seq == old).values(seq=new))


def sealed(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row the hash that it should have."""
    return {**row, "hash": audit.seal(row)}


def written_anew(conn: Connection) -> None:
    """Alter event 5 and give it, and all that follow, right hashes."""
    previous = row_of(conn, 4)["hash"]
    for number in range(5, 10):
        row = row_of(conn, number)
        row.update(previous=previous, text="forged" if number == 5 else row["text"])
        row = sealed(row)
        conn.execute(update(events).where(events.c.seq == number).values(**row))
        previous = row["hash"]


def grow_anew(conn: Connection) -> None:
    """Cut off the tail, and let the chain grow from there."""
    remove(8, 9)(conn)
    accept(conn, RequestId("R4"), "user:u4", at=4.0)


def reseal(conn: Connection) -> None:
    """Alter event 5, and give it the hash that is then right."""
    row = sealed({**row_of(conn, 5), "text": "forged"})
    conn.execute(update(events).where(events.c.seq == 5).values(**row))


TAMPERED: dict[str, tuple[Callable[[Connection], object], int, str]] = {
    "another time": (alter(5, at=99.0), 5, "altered"),
    "another request": (alter(5, request="R1"), 5, "altered"),
    "another kind": (alter(5, kind="failed"), 5, "altered"),
    "another text": (alter(5, text="nothing"), 5, "altered"),
    "another subject": (alter(5, subject="user:root"), 5, "altered"),
    "other facts": (alter(5, facts='{"read_back":{}}'), 5, "altered"),
    "no facts": (alter(5, facts=None), 5, "altered"),
    "facts that cannot be read": (alter(5, facts="{"), 5, "altered"),
    "another hash before": (alter(5, previous=GENESIS), 5, "altered"),
    "another hash": (alter(5, hash=GENESIS), 5, "altered"),
    "another number": (alter(9, seq=10), 9, "missing"),
    "altered and sealed anew": (reseal, 6, "does not follow"),
    "the first altered": (alter(1, text="nothing"), 1, "altered"),
    "the last altered": (alter(9, text="nothing"), 9, "altered"),
    "one removed": (remove(5), 5, "missing"),
    "several removed": (remove(4, 5, 6), 4, "missing"),
    "the first removed": (remove(1), 2, "no checkpoint"),
    "put in between": (put_between, 6, "altered"),
    "two moved": (swap, 4, "altered"),
}


def test_a_chain_that_nobody_touched_fits(conn: Connection) -> None:
    found = audit.verify(conn)
    assert (found.problem, found.events, found.head) == ("", 9, audit.head(conn))


@pytest.mark.parametrize("case", TAMPERED)
def test_the_first_event_that_does_not_fit_is_named(case: str, conn: Connection) -> None:
    tamper, number, why = TAMPERED[case]
    tamper(conn)
    found = audit.verify(conn)
    assert (found.event, why in found.problem) == (number, True), found.problem


PINNED: dict[str, tuple[Callable[[Connection], object], int]] = {
    "the tail cut off": (remove(8, 9), 8),
    "the tail cut off and another grown": (grow_anew, 9),
    "written anew with right hashes": (written_anew, 9),
    "everything removed": (remove(*range(1, 10)), 1),
}


@pytest.mark.parametrize("case", PINNED)
def test_a_pinned_head_shows_what_the_chain_alone_cannot(case: str, conn: Connection) -> None:
    tamper, number = PINNED[case]
    pinned = audit.head(conn)
    tamper(conn)
    found = audit.verify(conn, pinned)
    assert (found.event, bool(found.problem)) == (number, True), found.problem


def test_a_chain_that_grew_since_has_its_pinned_head(conn: Connection) -> None:
    pinned = audit.head(conn)
    accept(conn, RequestId("R4"), "user:u4", at=4.0)
    assert audit.verify(conn, pinned).problem == ""


def test_a_head_is_read_as_it_is_written(conn: Connection) -> None:
    pinned = audit.head(conn)
    assert str(Head.parse(f" {pinned}\n")) == str(pinned)


@pytest.mark.parametrize("text", ["", "12", "x:" + GENESIS, "12:abc", "²:" + GENESIS])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not a head"):
        Head.parse(text)


# The requests' rows.

CONTRADICTED: dict[str, dict[str, Any]] = {
    "another writer": {"writer": "root"},
    "another uid": {"uid": 0},
    "another action": {"action": "user.suspend"},
    "another subject": {"subject": "user:root"},
    "another digest": {"digest": GENESIS},
    "another content": {"body": b"provisioner: 2\n"},
    "another outcome": {"state": "failed"},
}


@pytest.mark.parametrize("case", CONTRADICTED)
def test_a_request_that_is_not_what_its_events_tell_is_named(case: str, conn: Connection) -> None:
    conn.execute(update(requests).where(requests.c.id == "R2").values(**CONTRADICTED[case]))
    found = audit.verify(conn)
    assert "R2 was altered" in found.problem


def test_a_request_of_which_no_event_tells_is_named(conn: Connection) -> None:
    row = dict(conn.execute(select(requests).where(requests.c.id == "R1")).one()._mapping)
    conn.execute(insert(requests), {**row, "id": "R9"})
    assert "R9 is in the journal, but no event" in audit.verify(conn).problem


# Pruning.


@pytest.mark.parametrize(
    ("before", "limit", "gone"),
    [(0.0, 100, 0), (1.0, 100, 0), (2.0, 100, 3), (2.0, 2, 2), (9.0, 4, 4), (9.0, 100, 9)],
)
def test_the_oldest_events_go_and_the_chain_still_fits(
    before: float, limit: int, gone: int, conn: Connection
) -> None:
    assert audit.prune(conn, before, limit, 10.0) == gone
    found = audit.verify(conn)
    assert (found.problem, found.start.seq) == ("", gone)


def test_pruning_again_and_again_leaves_one_checkpoint_that_holds(conn: Connection) -> None:
    for now in (10.0, 11.0, 12.0):
        assert audit.prune(conn, 100.0, 100, now) > 0
    assert [entry.kind for entry in audit.trail(conn)] == [audit.PRUNED]
    assert audit.verify(conn).problem == ""


def test_a_head_that_is_the_checkpoint_is_known_and_an_older_one_is_not(conn: Connection) -> None:
    heads = {number: Head(number, row_of(conn, number)["hash"]) for number in (4, 6, 7)}
    audit.prune(conn, 3.0, 100, 10.0)
    assert audit.verify(conn, heads[6]).problem == ""
    assert audit.verify(conn, heads[7]).problem == ""
    assert "pruned" in audit.verify(conn, heads[4]).problem


def test_more_removed_than_the_checkpoint_says_is_seen(conn: Connection) -> None:
    audit.prune(conn, 3.0, 100, 10.0)
    remove(7)(conn)
    found = audit.verify(conn)
    assert (found.event, "no checkpoint" in found.problem) == (8, True)


def test_an_altered_checkpoint_is_seen(conn: Connection) -> None:
    audit.prune(conn, 3.0, 100, 10.0)
    alter(10, facts='{"through":7}')(conn)
    assert audit.verify(conn).event == 10


# Telling.


def told(conn: Connection, **chosen: Any) -> list[int]:
    return [entry.seq for entry in audit.trail(conn, **chosen)]


def test_a_trail_is_of_a_subject_of_requests_or_of_a_time(conn: Connection) -> None:
    assert told(conn) == list(range(1, 10))
    assert told(conn, subject="user:u2") == [4, 5, 6]
    assert told(conn, subject="user:u") == []
    assert told(conn, ids=["R1", "R3"]) == [1, 2, 3, 7, 8, 9]
    assert told(conn, since=2.0, until=3.0) == [4, 5, 6]


@pytest.mark.parametrize(
    ("subject", "numbers"),
    [
        ("allocation:42", [10, 11, 12, 13]),
        ("user:asmith", [10, 12, 13]),
        ("user:smith", []),
        ("user:_smith", []),
        ("user:Asmith", []),
        ("Allocation:42", []),
    ],
)
def test_a_trail_of_a_part_leaves_out_what_was_done_for_others(
    subject: str, numbers: list[int], conn: Connection
) -> None:
    audit.append(
        conn,
        [
            Event(RequestId("R4"), "accepted", "r.yaml", "allocation:42"),
            Event(RequestId("R4"), audit.OBJECT, "a", "allocation:42/user:jdoe"),
            Event(RequestId("R4"), audit.OBJECT, "b", "allocation:42/user:asmith"),
            Event(RequestId("R4"), "done"),
        ],
        4.0,
    )
    assert told(conn, subject=subject) == numbers


def test_a_trail_marks_what_does_not_say_what_was_written(conn: Connection) -> None:
    alter(5, text="nothing")(conn)
    assert [entry.seq for entry in audit.trail(conn) if not entry.sound] == [5]
