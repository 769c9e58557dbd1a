"""Requests that put right others in long chains, and share an id: what is read does not grow with
them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from provisioner.contract import InvalidRequest
from provisioner.journal.journal import Journal
from provisioner.journal.persons import askers, chains
from provisioner.journal.persons.chains import Link
from provisioner.journal.queries import lookup, replaced
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import request_rows, step_rows
from provisioner.journal.records.request_rows import Record
from provisioner.system.ulid import RequestId

LENGTH = 40


def name(number: int) -> RequestId:
    return RequestId(f"R{number:03}")


def row(number: int) -> dict[str, Any]:
    """Make a request of a chain: each of B's puts right the one before, and the first is A's."""
    return {
        "id": name(number),
        "name": "r.yaml",
        "writer": "A" if number == 0 else "B",
        "uid": 1000,
        "writer_id": "often",
        "action": "user.provision",
        "subject": "user:jdoe",
        "digest": "",
        "body": b"x",
        "state": "refused" if number == 3 else "failed",
        "accepted": float(number),
        "replaces": name(number - 1) if number else None,
    }


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    book = Journal.open(tmp_path / "journal.db")
    with book.transaction() as conn:
        request_rows.insert_requests(conn, [row(number) for number in range(LENGTH)])
        same = {"name": "s", "ordinal": 0, "instance": "x", "needs": [], "routed": True}
        rest = {"state": "done", "withdraws": False}
        steps = [{"request": name(number), **same, **rest} for number in range(LENGTH)]
        step_rows.insert_steps(conn, steps)
        yield conn
    book.close()


@pytest.fixture
def asked(conn: Connection) -> Iterator[list[str]]:
    """The statements that are run from now on."""
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(conn, "before_cursor_execute", note)
    yield statements
    event.remove(conn, "before_cursor_execute", note)


def test_a_chain_is_read_by_one_statement(conn: Connection, asked: list[str]) -> None:
    links = chains.read(conn, [name(LENGTH - 1), name(5)])
    assert (len(links), links[name(0)], len(asked)) == (LENGTH, Link("A", None), 1)
    assert set(chains.writers(links).values()) == {"A"}


def test_a_chain_that_leads_to_a_forgotten_request_ends_before_it() -> None:
    links = {name(2): Link("C", name(1)), name(1): Link("B", name(0))}
    assert chains.writers(links) == {name(1): "B", name(2): "B"}


def test_whoever_asks_for_a_person_is_found_without_following_each_chain(
    conn: Connection, asked: list[str]
) -> None:
    assert list(askers.of(conn, ["user:jdoe"])["user:jdoe"]) == ["A"]
    assert len(asked) < 6
    assert askers.whose(conn, name(LENGTH - 1)) == "A"


def test_what_one_put_right_at_last_is_found_at_once(conn: Connection, asked: list[str]) -> None:
    last = name(LENGTH)
    request_rows.insert_requests(conn, [{**row(LENGTH), "state": "done"}])
    asked.clear()
    replaced.put_right(conn, [last], 1.0)
    assert len([statement for statement in asked if "replaces" in statement]) == 2
    fixed = request_rows.load(conn, [name(number) for number in range(LENGTH)]).values()
    assert {record.fixed_by for record in fixed} == {last}


@pytest.mark.parametrize("uid", [1000, 2000], ids=["own", "another writer's"])
def test_of_many_requests_with_one_id_only_the_best_is_loaded(
    conn: Connection, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    from_row = Record.from_row

    def note(row: Any) -> Record:
        loaded.append(row.id)
        return from_row(row)

    monkeypatch.setattr(Record, "from_row", note)
    request_rows.set_duplicate_of(conn, name(LENGTH - 1), name(0))
    if uid == 1000:
        found = lookup.find(conn, "often", Seeker(uid, "B", others=False))
        assert (found.id, loaded) == (name(LENGTH - 2), [name(LENGTH - 2)])
    else:
        with pytest.raises(InvalidRequest, match="'often' is 2 writers' own id"):
            lookup.find(conn, "often", Seeker(uid, "C", others=True))
        assert sorted(loaded) == [name(0), name(LENGTH - 2)]
