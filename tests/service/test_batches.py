"""What the journal is asked while a batch of results is recorded: the same for one request as for
many, and nothing twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from provisioner.journal import bulk
from tests.support.engine_site import Site, user


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def asked(site: Site, requests: int) -> list[Counter[str]]:
    """Let two lanes do what some new requests ask for; return how often each asked what.

    With what the first one does, their second steps begin, and with that of the second they are
    over.
    """
    for number in range(requests):
        site.drop(user(f"u{requests}n{number}", uid=1000 * requests + number), f"r{number}.yaml")
    seen: list[str] = []
    with site.system.journal.reading() as conn:
        bulk.watch(conn, lambda sql, _: seen.append(sql))
        event.listen(conn.engine, "before_cursor_execute", lambda *each: seen.append(each[2]))
    read = []
    for lane in ("first", "second"):
        seen.clear()
        assert site.service.lanes[lane].drain() == requests
        tables = [text.partition(".")[0] for text in seen if text.startswith("SELECT ")]
        read.append(Counter(table.removeprefix("SELECT ") for table in tables))
    return read


def test_a_batch_is_written_for_many_requests_in_as_many_calls_as_for_one(site: Site) -> None:
    assert written(site, 1) == written(site, 7)


def written(site: Site, requests: int) -> list[int]:
    """Let two lanes do what some new requests ask for; return in how many calls each wrote.

    Objects become due by request: their number tells whether the ledger still has them.
    """
    for number in range(requests):
        site.drop(user(f"u{requests}n{number}", uid=1000 * requests + number), f"r{number}.yaml")
    calls: list[int] = []
    for lane in ("first", "second"):
        seen: list[str] = []
        with site.system.journal.reading() as conn:
            bulk.watch(conn, lambda sql, _, seen=seen: seen.append(sql))  # type: ignore[misc]
        site.service.lanes[lane].drain()
        touching = "UPDATE objects SET generation"
        writing = [sql for sql in seen if sql.startswith(("UPDATE", "INSERT"))]
        calls.append(sum(not sql.startswith(touching) for sql in writing))
    return calls


def test_no_statement_of_a_batch_is_compiled_again_for_each_row(site: Site) -> None:
    """SQLite does that for a parameter that a partial index might be about."""
    seen: list[str] = []
    with site.system.journal.reading() as conn:
        bulk.watch(conn, lambda sql, _: seen.append(sql))
    site.request(user("ann", uid=1000))
    assert site.states()["done"]
    assert [sql for sql in seen if "step_objects.state = ?" in sql] == []


def test_a_batch_asks_for_many_requests_what_it_asks_for_two(site: Site) -> None:
    assert asked(site, 2) == asked(site, 7)


def test_what_a_request_is_made_of_is_read_once_when_an_outcome_is_recorded(site: Site) -> None:
    [_, last] = asked(site, 3)
    # Steps: what they are. Their parts: those that wait for the objects, and what they are. Claims:
    # what is wanted, and what stands when it is done. How many parts each has is only counted.
    kinds = ("steps", "step_objects", "claims")
    assert {kind: last[kind] for kind in kinds} == {"steps": 1, "step_objects": 2, "claims": 2}


@pytest.mark.sqlite
def test_a_statement_is_prepared_once_for_all_rows_of_a_batch(site: Site) -> None:
    assert prepared(site, 9) <= prepared(site, 3)


def prepared(site: Site, requests: int) -> Counter[str]:
    """Let new requests be accepted and done; return how often SQLite prepared what writes a column.

    It does so again for each row where a parameter is compared with what a partial index says.
    """
    for number in range(requests):
        site.drop(user(f"p{requests}n{number}", uid=1000 * requests + number), f"r{number}.yaml")
    columns: Counter[str] = Counter()

    def hear(action: int, table: str | None, column: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_UPDATE:
            columns[f"{table}.{column}"] += 1
        return sqlite3.SQLITE_OK

    with site.system.journal.reading() as conn:
        database: Any = conn.connection.driver_connection
    database.set_authorizer(hear)
    site.service.take()
    for lane in ("first", "second"):
        assert site.service.lanes[lane].drain() == requests
    database.set_authorizer(None)
    return columns
