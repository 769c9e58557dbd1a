"""Texts of earlier requests are read a few at once, and once: a writer may have left any number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from provisioner.journal import bulk
from provisioner.journal.journal import Journal
from provisioner.journal.queries import replaced
from provisioner.journal.records import ledger, request_rows
from provisioner.policy import rules
from provisioner.policy.targets import Recorded
from provisioner.request.request import parse_request
from provisioner.system.ulid import RequestId

MANY = 120
SUSPEND = "provisioner: 1\naction: user.suspend\nuser: {name: jdoe}\ncause: debt\n"
MEMBER = """\
provisioner: 1
action: membership.add
membership: {user: jdoe, allocation: {id: 1, resource: a, project: {code: CF3}}}
"""


def name(number: int) -> RequestId:
    return RequestId(f"R{number:03}")


def row(number: int, body: str, **more: Any) -> dict[str, Any]:
    made = {"id": name(number), "name": f"{number}.yaml", "writer": "B", "uid": 1000}
    made |= {"action": "", "subject": "", "digest": f"{number}", "body": body.encode()}
    return {**made, "state": "refused", "accepted": float(number), **more}


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    book = Journal.open(tmp_path / "journal.db")
    with book.transaction() as conn:
        yield conn
    book.close()


@pytest.fixture
def read(conn: Connection) -> Iterator[list[str]]:
    """The requests whose texts are read from now on."""
    ids: list[str] = []

    def driven(statement: str, values: Any) -> None:
        if "requests.body" in statement:
            ids.extend(one for one in dict.fromkeys(values) if str(one).startswith("R"))

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        driven(statement, parameters)

    event.listen(conn, "before_cursor_execute", note)
    bulk.watch(conn, driven)
    yield ids
    event.remove(conn, "before_cursor_execute", note)


def fixed(conn: Connection) -> int:
    return len(replaced.fixed_among(conn, [name(number) for number in range(MANY)]))


DAMAGED: dict[str, Any] = {"name": "same.yaml"}
DEBT: dict[str, Any] = {"action": "user.suspend", "subject": "user:jdoe"}


@pytest.mark.parametrize(
    ("body", "more"), [("x: {", DAMAGED), (SUSPEND, DEBT)], ids=["one name", "one cause"]
)
def test_of_very_many_alike_the_newest_are_read_for_each_that_is_done(
    conn: Connection, read: list[str], body: str, more: dict[str, Any]
) -> None:
    request_rows.insert_requests(conn, [row(number, body, **more) for number in range(MANY)])
    for count, number in enumerate((MANY, MANY + 1), 1):
        request_rows.insert_requests(
            conn,
            [{**row(number, SUSPEND, **DEBT), **more, "state": "done", "subject": "user:jdoe"}],
        )
        read.clear()
        replaced.put_right(conn, [name(number)], 1.0)
        texts = set(read) - {name(number)}
        assert (fixed(conn), len(texts)) == (50 * count, 50)


def test_a_refusal_whose_text_was_not_kept_is_put_right_by_its_own_writer_only(
    conn: Connection,
) -> None:
    request_rows.insert_requests(conn, [row(1, "", **DEBT)])
    request_rows.insert_requests(conn, [row(2, SUSPEND, **DEBT) | {"state": "done", "uid": 2000}])
    replaced.put_right(conn, [name(2)], 1.0)
    assert fixed(conn) == 0


def test_what_the_requests_of_a_subject_name_is_read_once(
    conn: Connection, read: list[str]
) -> None:
    members = [f"allocation:1/user:u{number}" for number in range(3)]
    rows = [
        row(number, MEMBER, action="membership.add", subject=subject, state="done")
        for number, subject in enumerate(members)
    ]
    request_rows.insert_requests(conn, rows)
    owner = {subject: (name(number), "B") for number, subject in enumerate(members)}
    entries = [ledger.Entry(f"x/member/{subject[-2:]}", subject, "x", {}) for subject in members]
    ledger.claim(conn, entries, {"x": "x"}, owner, 1.0)
    request, recorded = parse_request(MEMBER.encode()), Recorded()
    question = rules.Question("membership.add")
    for times in (3, 0):
        read.clear()
        found = recorded.with_subject(conn, "C", request, question)
        assert (sorted(found.projects), found.owners, len(read)) == (["CF3"], ("B",), times)
