"""A query that the driver runs gives what SQLAlchemy gives: rows, types and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import DBAPIError

from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, Spoilt
from provisioner.journal.journal import Journal
from provisioner.journal.schema import objects
from provisioner.objects.errors import Error
from provisioner.objects.states import Adoption
from tests.unit.journal.conftest import Places

KEYS = [f"fs1/fileset/cf{number:04}" for number in range(700)]

AMONG = (
    select(objects.c.key, objects.c.state, objects.c.adoption, objects.c.error)
    .where(objects.c.key.in_(IDS), objects.c.adoption != Adoption.NEW)
    .order_by(objects.c.key)
)
STATED = select(objects.c.key).where(
    objects.c.state == bindparam("b_state", type_=objects.c.state.type)
)


@pytest.fixture
def conn(place: Places) -> Iterator[Connection]:
    """Give a transaction on a journal with objects."""
    journal = Journal.open(place("journal"))
    rows = [row(key, number) for number, key in enumerate(KEYS)]
    with journal.transaction() as conn:
        bulk.run(conn, insert(objects), rows)
        yield conn
    journal.close()


def row(key: str, number: int) -> dict[str, Any]:
    """Make an object's row; every third one differs."""
    return {
        "key": key, "instance": "fs1", "lane": "fs1", "generation": 1, "converged": 0,
        "attempts": 0, "writer": "ann", "state": {"present": True, "inodes": number},
        "error": Error(type="Unavailable", message="no answer") if number % 2 else None,
        "adoption": Adoption.NEW if number % 3 else Adoption.DIFFERS,
    }  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 2, 3, 7, 256, 257, 500, 501, 700])
def test_a_list_of_any_length_finds_what_sqlalchemy_finds(conn: Connection, number: int) -> None:
    asked = KEYS[:number]
    wanted = [tuple(row) for row in conn.execute(AMONG, {"b_ids": asked})]
    assert [tuple(row) for row in bulk.among(conn, AMONG, asked)] == wanted
    assert len(wanted) == (number + 2) // 3


def test_rows_have_names_and_the_types_of_their_columns(conn: Connection) -> None:
    first, second = bulk.among(conn, AMONG, KEYS[:6])
    assert (first.key, first.state) == (KEYS[0], {"present": True, "inodes": 0})
    assert first.adoption is Adoption.DIFFERS
    assert (first.error, second.error) == (None, Error(type="Unavailable", message="no answer"))


def test_a_value_is_written_as_its_column_has_it(conn: Connection) -> None:
    [found] = bulk.rows(conn, STATED, {"b_state": {"present": True, "inodes": 4}})
    assert found.key == KEYS[4]


def test_a_cell_that_is_none_of_its_column_s_is_reported_as_spoilt(conn: Connection) -> None:
    conn.exec_driver_sql("UPDATE objects SET adoption = 'x'")
    with pytest.raises(Spoilt, match="'x'"):
        bulk.among(conn, AMONG, KEYS[:1])


def test_what_the_driver_refuses_is_sqlalchemy_s_error(conn: Connection) -> None:
    conn.exec_driver_sql("ALTER TABLE objects RENAME TO others")
    with pytest.raises(DBAPIError, match="objects"), conn.begin_nested():
        bulk.among(conn, AMONG, KEYS[:1])


def test_a_query_without_a_transaction_begins_one(place: Places) -> None:
    journal = Journal.open(place("alone"))
    with journal._engine.connect() as conn:
        assert bulk.among(conn, AMONG, KEYS) == []
        assert conn.in_transaction()
    journal.close()
