"""A journal on a server: one writer on all hosts, readers that see one state, and no password."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from provisioner.contract import ConfigError
from provisioner.journal import facts, stored
from provisioner.journal.journal import Journal, JournalBroken
from provisioner.journal.postgresql import server
from tests.support.clusters import Cluster
from tests.support.waiting import until

pytestmark = pytest.mark.lab

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
SOON = "%20-clock_timeout%3D2000"
IDLE = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name LIKE 'provisioner %'"
)


def asked(cluster: Cluster, statement: str) -> int:
    with psycopg.connect(cluster.address) as conn:
        [(found,)] = conn.execute(statement.encode()).fetchall()
    return int(found)


def put(book: Journal, value: str) -> None:
    with book.transaction() as conn:
        facts.put(conn, facts.NEWEST, value)


def got(book: Journal) -> str | None:
    with book.reading() as conn:
        return facts.get(conn, facts.NEWEST)


def test_a_writer_waits_for_the_one_of_another_host_and_sees_what_it_did(cluster: Cluster) -> None:
    address = cluster.make()
    one, two = Journal.open(address), Journal.open(address)
    seen: list[str | None] = []

    def write() -> None:
        with two.transaction() as conn:
            seen.append(facts.get(conn, facts.NEWEST))

    other = threading.Thread(target=write)
    with one.transaction() as conn:
        other.start()
        until(lambda: asked(cluster, WAITING) == 1, "the other writer to wait")
        facts.put(conn, facts.NEWEST, "first")
    other.join()
    assert seen == ["first"]
    for book in (one, two):
        book.close()


def test_a_writer_waits_for_none_of_another_journal(cluster: Cluster) -> None:
    one, two = (Journal.open(f"{cluster.make()}{SOON}") for _ in range(2))
    with one.transaction():
        put(two, "written meanwhile")
    assert got(two) == "written meanwhile"
    for book in (one, two):
        book.close()


OTHERS = {
    "by the type that it has": "FUNCTION hashtext(name) RETURNS INT",
    "by another type": "FUNCTION hashtext(text) RETURNS INT",
    "of a role": "FUNCTION joined(text, name) RETURNS TEXT",
}
"""What another role may make in the journal's schema on PostgreSQL 13 and 14."""


@pytest.mark.parametrize("made", OTHERS.values(), ids=OTHERS)
def test_a_function_of_another_role_in_the_schema_is_not_called_for_a_lock(
    cluster: Cluster, made: str
) -> None:
    address = cluster.make()
    with psycopg.connect(address) as conn:
        body = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$"
        conn.execute(f"CREATE {made} {body}".encode())
        if "joined" in made:
            conn.execute("CREATE OPERATOR || (LEFTARG = text, RIGHTARG = name, FUNCTION = joined)")
    book = Journal.open(address)
    try:
        with stored.of(address).reserved(), book.transaction() as conn:
            book.announce(conn, "news")
    finally:
        book.close()


def test_a_reader_sees_one_state_and_keeps_no_writer_waiting(cluster: Cluster) -> None:
    address = cluster.make()
    one, two = Journal.open(address), Journal.open(address)
    put(one, "before")
    with two.reading() as conn:
        assert facts.get(conn, facts.NEWEST) == "before"
        put(one, "after")
        assert facts.get(conn, facts.NEWEST) == "before"
    assert got(two) == "after"
    for book in (one, two):
        book.close()


def test_a_reader_can_write_nothing(cluster: Cluster) -> None:
    book = Journal.open(cluster.make())
    with pytest.raises(JournalBroken, match="read-only"), book.reading() as conn:
        facts.put(conn, facts.NEWEST, "x")
    book.close()


def test_a_journal_that_lost_its_server_writes_nothing_more(cluster: Cluster) -> None:
    address = cluster.make()
    book = Journal.open(address)
    with pytest.raises(JournalBroken), book.transaction() as conn:
        facts.put(conn, facts.NEWEST, "lost")
        asked(cluster, f"SELECT count(*) FROM ({END_OTHERS}) AS ended")
        facts.put(conn, facts.NEWEST, "lost, too")
    with pytest.raises(JournalBroken):
        put(book, "again")
    book.close()
    again = Journal.open(address)
    assert got(again) is None
    again.close()


def test_a_server_that_was_lost_is_told_and_not_logged(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    book = Journal.open(cluster.make())
    assert got(book) is None
    asked(cluster, f"SELECT count(*) FROM ({END_OTHERS}) AS ended")
    with pytest.raises(JournalBroken):
        put(book, "lost")
    book.close()
    assert caplog.records == []


def test_a_connection_that_the_server_ends_for_its_idleness_is_lost(cluster: Cluster) -> None:
    address = f"{cluster.make()}%20-cidle_in_transaction_session_timeout%3D500"
    book = Journal.open(address)
    with pytest.raises(JournalBroken), book.transaction() as conn:
        facts.put(conn, facts.NEWEST, "lost")
        until(lambda: asked(cluster, IDLE) == 0, "the server to end it")
        facts.put(conn, facts.NEWEST, "lost, too")
    book.close()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:geheim@host/journal",
        "postgresql:///journal?password=geheim",
        "postgresql:///journal?pasword=geheim",
    ],
)
def test_an_address_with_a_password_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Journal.open(address)
    assert "geheim" not in f"{refused.value.message} {refused.value.advice}"
    assert ".pgpass" in refused.value.advice


def test_another_programs_database_is_refused_and_not_written_to(cluster: Cluster) -> None:
    address = cluster.make()
    with psycopg.connect(address) as conn:
        conn.execute("CREATE TABLE users (name TEXT)")
    with pytest.raises(ConfigError, match="not a journal of this program"):
        Journal.open(address)
    with psycopg.connect(address) as conn:
        found = conn.execute("SELECT to_regclass('requests'), to_regclass('marks')").fetchall()
    assert found == [(None, None)]


def test_a_database_that_cannot_have_every_text_is_refused(cluster: Cluster) -> None:
    with psycopg.connect(cluster.address, autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS latin")
        conn.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(ConfigError, match="encoding LATIN1"):
        Journal.open(cluster.address.replace("template1", "latin"))


def test_a_newer_journal_is_refused(cluster: Cluster) -> None:
    address = cluster.make()
    Journal.open(address).close()
    with psycopg.connect(address) as conn:
        conn.execute("UPDATE marks SET value = '9999' WHERE name = 'version'")
    with pytest.raises(ConfigError, match="version 9999"):
        Journal.open(address)


def test_a_silent_server_is_given_up_soon_unless_the_address_says_otherwise() -> None:
    words = conninfo_to_dict(server.patient("postgresql:///x?host=a,b&connect_timeout=3"))
    assert (words["connect_timeout"], words["tcp_user_timeout"]) == ("3", "30000")
    assert words["host"] == "a,b"
