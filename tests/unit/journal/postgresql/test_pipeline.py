"""The pipeline: what is written goes to the server with the next question, or the commit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from provisioner.journal import bulk, facts
from provisioner.journal.journal import Journal
from provisioner.journal.postgresql import pipeline
from provisioner.journal.postgresql.pipeline import Pipeline
from provisioner.journal.schema import marks
from tests.support.clusters import Cluster
from tests.support.engine_site import CONFIG, Site, user

pytestmark = pytest.mark.lab

WRITE = insert(marks)
END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name LIKE 'provisioner %'"
)


@pytest.fixture
def book(cluster: Cluster) -> Iterator[Journal]:
    opened = Journal.open(cluster.make())
    yield opened
    opened.close()


def put(conn: Connection, name: str, value: Any = "x") -> None:
    bulk.run(conn, WRITE, [{"name": name, "value": value}])


def names(conn: Connection) -> set[str]:
    return {row[0] for row in bulk.drive(conn, "SELECT name FROM marks", ())}


def pipeline_of(book: Journal) -> Pipeline:
    with book._engine.connect() as conn:
        found: Pipeline = conn.info[bulk.DRIVER]
        return found


def waits(book: Journal, work: Callable[[], object]) -> int:
    """Return how often a journal waits for its server during some work."""
    pg = pipeline_of(book)._pg
    with tempfile.TemporaryFile("w+b") as traced:
        pg.trace(traced.fileno())
        try:
            work()
        finally:
            pg.untrace()
        traced.seek(0)
        return traced.read().count(b"ReadyForQuery")


def test_a_reader_waits_at_its_questions_and_its_end(book: Journal) -> None:
    def read() -> None:
        with book.reading() as conn:
            names(conn)
            names(conn)

    assert waits(book, read) == 3


def test_a_writer_waits_at_its_turn_its_questions_and_its_end(book: Journal) -> None:
    def write() -> None:
        with book.transaction() as conn:
            put(conn, "one")
            put(conn, "two")
            assert {"one", "two"} <= names(conn)
            put(conn, "three")
            put(conn, "four")

    assert waits(book, write) == 3


def test_a_lone_request_waits_so_often_until_it_is_accepted_and_until_it_is_done(
    tmp_path: Path, cluster: Cluster
) -> None:
    site = Site(tmp_path, text=CONFIG.replace("journal: journal.db", f"journal: {cluster.make()}"))
    for number in range(3):
        site.request(user(f"u{number}", uid=2000 + number), f"u{number}.yaml")
    book = site.system.journal
    assert waits(book, lambda: site.drop(user("ann", uid=3000))) <= 30
    assert waits(book, site.drain) <= 70


def test_what_the_driver_runs_comes_after_what_is_to_be_written(book: Journal) -> None:
    with book.transaction() as conn:
        put(conn, facts.NEWEST, "written")
        assert facts.get(conn, facts.NEWEST) == "written"


@pytest.mark.parametrize("then", ["a question", "the driver", "a number", "the commit"])
def test_what_the_server_refuses_is_raised_before_the_commit(book: Journal, then: str) -> None:
    ways: dict[str, Callable[[Connection], object]] = {
        "a question": names,
        "the driver": lambda conn: facts.get(conn, facts.NEWEST),
        "a number": lambda conn: bulk.count(conn, WRITE, [{"name": "third", "value": "x"}]),
        "the commit": lambda conn: None,
    }
    with pytest.raises(DBAPIError, match="duplicate key"), book.transaction() as conn:
        put(conn, "first")
        put(conn, "first")
        put(conn, "second")
        ways[then](conn)
    with book.reading() as conn:
        assert names(conn).isdisjoint({"first", "second", "third"})


def test_a_transaction_that_lost_a_statement_is_not_taken_for_committed(book: Journal) -> None:
    with (
        pytest.raises(DBAPIError, match="rolled back"),
        book.transaction() as conn,
        pytest.raises(DBAPIError, match="duplicate key"),
    ):
        put(conn, "first")
        put(conn, "first")
        names(conn)


def test_what_is_rolled_back_is_never_written(book: Journal) -> None:
    with pytest.raises(RuntimeError), book.transaction() as conn:
        put(conn, "first")
        raise RuntimeError
    with book.reading() as conn:
        assert "first" not in names(conn)


def test_a_value_that_no_server_takes_is_refused_at_once(book: Journal) -> None:
    with book.transaction() as conn:
        with pytest.raises(DBAPIError, match="NUL"):
            put(conn, "first", "a\0b")
        put(conn, "second")
    with book.reading() as conn:
        assert "second" in names(conn)


def test_statements_are_prepared_once_and_no_more_are_kept_than_some(
    book: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_MOST", 5)
    for number in range(40):
        with book.reading() as conn:
            [row] = bulk.drive(conn, f"SELECT {number} + %s::BIGINT", (1,))
            assert row == (number + 1,)
    with book.reading() as conn:
        [(kept,)] = bulk.drive(conn, "SELECT count(*) FROM pg_prepared_statements", ())
    assert 2 <= kept <= 8


def test_a_batch_larger_than_all_buffers_goes_through(book: Journal) -> None:
    many = [{"name": f"n{number:05}", "value": "x" * 1000} for number in range(5000)]
    with book.transaction() as conn:
        assert bulk.count(conn, WRITE, many) == 5000
        found = bulk.drive(conn, "SELECT value FROM marks WHERE name LIKE 'n%%'", ())
        assert sum(len(value) for (value,) in found) == 5_000_000


def test_a_server_that_goes_is_an_error_and_the_connection_is_of_no_more_use(
    book: Journal, cluster: Cluster
) -> None:
    asks = pipeline_of(book)
    with closing(psycopg.connect(cluster.address)) as other:
        other.execute(END)
    with pytest.raises(psycopg.OperationalError):
        asks.execute("SELECT 1", ())
    with pytest.raises(psycopg.OperationalError):
        asks.execute("SELECT 1", ())
