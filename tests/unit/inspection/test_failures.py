"""What failed is grouped by its cause, however many texts a writer leaves, and however long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.inspection import failures
from provisioner.journal.journal import Journal
from provisioner.journal.records import request_rows
from tests.support.records import a_request


def test_the_beginning_of_a_message_tells_its_cause() -> None:
    record = a_request()
    told = [
        failures.of_words(record, "wrong", "ad", beginning + "x" * 600 + end)
        for beginning, end in (("no answer ", "y"), ("no answer ", "z"), ("refused ", "y"))
    ]
    assert told[0] == told[1] != told[2]


def test_of_more_texts_than_there_is_room_for_the_first_problem_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "TEXTS", 2500)
    book = Journal.open(tmp_path / "journal.db")
    with book.transaction() as conn:
        request_rows.insert_requests(conn, [row(number) for number in range(3)])
        found = failures.unfixed(conn)
    book.close()
    kept = [(len(one.record.body), len(one.record.problems or ())) for one in found]
    assert kept == [(1000, 2), (0, 1), (0, 1)]
    assert {one.message for one in found} == {"first"}


def row(number: int) -> dict[str, Any]:
    problems = [{"line": None, "key": "", "message": text} for text in ("first", "second")]
    made = {"id": f"R{number}", "name": "r.yaml", "writer": "B", "uid": 1000, "action": ""}
    made |= {"subject": "", "digest": "", "body": b"x" * 1000, "state": "refused"}
    return {**made, "accepted": 1.0, "problems": problems}
