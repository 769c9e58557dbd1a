"""Long work in the journal is no standstill: who is in it, or waits for it, counts as alive.

A busy machine took more than the watchdog's time for one request of 10,000 users.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.journal import facts, journal
from provisioner.journal.journal import Journal
from provisioner.journal.schema import VERSION
from provisioner.recovery.redo_log import RedoLog
from tests.support.waiting import until


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr(journal, "TELLING", 0.0)
    made = Journal.open(tmp_path / "journal.db")
    (tmp_path / "log").mkdir()
    made.record_into(RedoLog(tmp_path / "log", made.identity, VERSION, "sqlite"))
    yield made
    made.close()


def write(book: Journal) -> None:
    with book.transaction() as conn:
        facts.put(conn, "a", "b")


def test_each_statement_of_who_serves_tells_it(book: Journal) -> None:
    told: list[int] = []
    book.tell(lambda: told.append(1))
    write(book)
    assert told


def test_so_do_those_of_others_for_which_it_waits(book: Journal) -> None:
    told: list[int] = []
    other_has, other_goes_on = threading.Event(), threading.Event()

    def others() -> None:
        with book.transaction() as conn:
            other_has.set()
            other_goes_on.wait(10)
            facts.put(conn, "a", "b")

    thread = threading.Thread(target=others)
    thread.start()
    other_has.wait(10)
    book.tell(lambda: told.append(1))
    me = threading.get_ident()

    def go_on() -> None:
        until(lambda: book._turn.here[me] > 0, "the one who serves waits")
        other_goes_on.set()

    helper = threading.Thread(target=go_on)
    helper.start()
    with book._turn:
        assert told
    thread.join()
    helper.join()


def test_what_others_do_tells_nothing_of_one_who_is_elsewhere(book: Journal) -> None:
    told: list[int] = []
    book.tell(lambda: told.append(1))
    thread = threading.Thread(target=write, args=(book,))
    thread.start()
    thread.join()
    assert told == []
