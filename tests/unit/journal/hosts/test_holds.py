"""Whoever takes a lane up raises its epoch, and a slow one's record is refused by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.journal import facts
from provisioner.journal.hosts import holds
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.journal import Journal
from tests.unit.journal.conftest import Places


@pytest.fixture
def books(place: Places) -> Iterator[tuple[Journal, Journal]]:
    """Give the journal as two hosts have it open."""
    at = place("journal")
    one, two = Journal.open(at), Journal.open(at)
    yield one, two
    one.close()
    two.close()


def take(book: Journal, host: str, lane: str = "slurm") -> holds.Holder:
    with book.transaction() as conn:
        return holds.take_up(conn, lane, host, 1.0)


def record(book: Journal, epoch: int, lane: str = "slurm") -> None:
    """Record something as who took a lane up with an epoch."""
    with book.transaction() as conn:
        facts.put(conn, facts.NEWEST, f"{lane} {epoch}")
        holds.check(conn, lane, epoch)


def recorded(book: Journal) -> str | None:
    with book.reading() as conn:
        return facts.get(conn, facts.NEWEST)


def test_who_has_a_lane_records(books: tuple[Journal, Journal]) -> None:
    one, two = books
    record(one, take(one, "a").epoch)
    assert recorded(two) == "slurm 1"


def test_the_record_of_a_slow_one_is_refused_and_names_who_has_it(
    books: tuple[Journal, Journal],
) -> None:
    one, two = books
    mine = take(one, "a")
    theirs = take(two, "b")
    record(two, theirs.epoch)
    with pytest.raises(Overtaken, match="slurm: b has taken it up"):
        record(one, mine.epoch)
    assert recorded(one) == f"slurm {theirs.epoch}"


def test_another_lane_is_not_touched(books: tuple[Journal, Journal]) -> None:
    one, two = books
    mine = take(one, "a", "fs1")
    take(two, "b", "slurm")
    record(one, mine.epoch, "fs1")


def test_a_lane_that_nobody_took_up_has_no_record(books: tuple[Journal, Journal]) -> None:
    with pytest.raises(Overtaken, match="nobody has"):
        record(books[0], 1)


def test_who_takes_up_learns_who_has_not_given_back(books: tuple[Journal, Journal]) -> None:
    one, two = books
    assert take(one, "a").host is None
    assert take(two, "b").host == "a"


def test_what_was_given_back_is_nobodys_and_its_epoch_still_grows(
    books: tuple[Journal, Journal],
) -> None:
    one, two = books
    mine = take(one, "a")
    with one.transaction() as conn:
        holds.give_back(conn, "slurm", mine.epoch)
    theirs = take(two, "b")
    assert (theirs.host, theirs.epoch) == (None, mine.epoch + 1)
    with pytest.raises(Overtaken):
        record(one, mine.epoch)


def test_a_slow_one_gives_back_nothing(books: tuple[Journal, Journal]) -> None:
    one, two = books
    mine = take(one, "a")
    take(two, "b")
    with one.transaction() as conn:
        holds.give_back(conn, "slurm", mine.epoch)
    with one.reading() as conn:
        assert holds.listed(conn)["slurm"].host == "b"
