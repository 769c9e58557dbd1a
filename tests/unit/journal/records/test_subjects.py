"""Requests are found by their subject, in its own case, and by an index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event

from provisioner.journal.journal import Journal
from provisioner.journal.queries import history
from provisioner.journal.records import request_rows
from provisioner.system.ulid import RequestId
from tests.unit.journal.conftest import Places

SUBJECTS = ("project:cf1", "project:cf1/user:jdoe", "project:CF1/user:jdoe", "project:cf12")


@pytest.fixture
def conn(place: Places) -> Iterator[Connection]:
    """A journal with a request for each subject, in that order."""
    book = Journal.open(place("journal"))
    with book.transaction() as conn:
        request_rows.insert_requests(conn, [row(n, of) for n, of in enumerate(SUBJECTS, 1)])
        yield conn
    book.close()


def row(number: int, subject: str) -> dict[str, Any]:
    return {
        "id": f"R{number}",
        "name": "r.yaml",
        "writer": "jdoe",
        "uid": 1000,
        "action": "project.provision",
        "subject": subject,
        "digest": "",
        "body": b"",
        "state": "done",
        "accepted": float(number),
    }


def newer(conn: Connection) -> str:
    [first] = request_rows.load(conn, [RequestId("R1")]).values()
    return history.newer(conn, first, ["project.provision"])


def test_what_lies_in_a_subject_of_another_case_is_not_newer_than_its_own(
    conn: Connection,
) -> None:
    assert newer(conn) == "R2"


@pytest.mark.parametrize(
    "ask",
    [newer, lambda conn: history.of(conn, [("fs1/fileset/cf1", "project:cf1/user:jdoe")])],
    ids=["newer", "history"],
)
def test_requests_of_a_subject_are_found_without_reading_all_requests(
    conn: Connection, ask: Callable[[Connection], object]
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", note)
    ask(conn)
    event.remove(conn, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN"
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a few rows are read faster so
        explain = "EXPLAIN"
    plans = [
        str(line[-1])
        for statement, parameters in asked
        for line in conn.exec_driver_sql(f"{explain} {statement}", parameters)
    ]
    assert any("requests_subject" in line for line in plans), plans
    assert not [line for line in plans if re.search("SCAN requests|Seq Scan on requests", line)]
