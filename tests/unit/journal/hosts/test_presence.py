"""Which processes serve a journal together, what each drains, who is missing, who may not join."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from provisioner.contract import ConfigError
from provisioner.journal.hosts import holds, presence
from provisioner.journal.hosts.presence import INTAKE, Host, lanes_role
from provisioner.journal.journal import Journal
from tests.unit.journal.conftest import Places

LEASE = 10.0
NOW = 1000.0
PORTAL = Host("portal", INTAKE, "1.0", 900.0, NOW)
NEAR = Host("near", lanes_role(["slurm", "fs1"]), "1.0", 900.0, NOW)
FAR = Host("far", lanes_role(["slurm"]), "1.0", 900.0, NOW)


@pytest.fixture
def book(place: Places) -> Iterator[Journal]:
    made = Journal.open(place("journal"))
    yield made
    made.close()


def join(book: Journal, *hosts: Host, lease: float = LEASE) -> None:
    with book.transaction() as conn:
        for host in hosts:
            presence.join(conn, host, lease)


def take(book: Journal, host: Host, *lanes: str) -> None:
    with book.transaction() as conn:
        for lane in lanes:
            holds.take_up(conn, lane, host.name, NOW)


def seen(book: Journal, now: float = NOW) -> dict[str, presence.Seen]:
    with book.reading() as conn:
        return {each.host.name: each for each in presence.seen(conn, now, LEASE)}


def test_one_process_alone_is_not_listed(book: Journal) -> None:
    assert seen(book) == {}


def test_each_is_listed_with_what_it_drains(book: Journal) -> None:
    join(book, PORTAL, NEAR, FAR)
    take(book, NEAR, "fs1", "slurm")
    take(book, FAR, "slurm")
    drains = {name: each.drains for name, each in seen(book).items()}
    assert drains == {"portal": (), "near": ("fs1",), "far": ("slurm",)}


def test_who_is_not_heard_for_two_leases_is_missing(book: Journal) -> None:
    join(book, PORTAL, NEAR, replace(FAR, heard=NOW - 2 * LEASE - 1))
    assert [name for name, each in seen(book).items() if each.missing] == ["far"]


def test_who_is_not_heard_for_a_week_is_gone(book: Journal) -> None:
    join(book, PORTAL, replace(FAR, heard=NOW - presence.FORGOTTEN - 1))
    assert list(seen(book)) == ["portal"]


def test_who_serves_alone_clears_the_rows_of_those_who_died(book: Journal) -> None:
    join(book, PORTAL, NEAR)
    presence.clear(book)
    assert seen(book) == {}


def test_a_lane_that_was_given_back_is_nobodys(book: Journal) -> None:
    join(book, NEAR)
    take(book, NEAR, "fs1")
    with book.transaction() as conn:
        holds.give_back(conn, "fs1", 1)
    assert seen(book)["near"].drains == ()


def test_who_ended_in_order_is_gone(book: Journal) -> None:
    join(book, PORTAL, NEAR)
    with book.transaction() as conn:
        presence.leave(conn, NEAR)
    assert list(seen(book)) == ["portal"]


def test_who_died_takes_its_row_again(book: Journal) -> None:
    join(book, NEAR)
    join(book, replace(NEAR, since=NOW))
    assert seen(book)["near"].host.since == NOW


def test_another_version_is_refused_with_both_hosts_and_what_to_do(book: Journal) -> None:
    join(book, PORTAL)
    with pytest.raises(ConfigError) as refused:
        join(book, replace(NEAR, version="2.0"))
    for word in ("portal", "1.0", "near", "2.0"):
        assert word in refused.value.message
    assert "one version on all hosts" in refused.value.advice
    assert list(seen(book)) == ["portal"]


def test_the_version_of_one_who_is_missing_does_not_matter(book: Journal) -> None:
    join(book, replace(PORTAL, heard=NOW - 2 * LEASE - 1))
    join(book, replace(NEAR, version="2.0"))
    assert set(seen(book)) == {"portal", "near"}


@pytest.mark.parametrize("lease", [1.0, 9.0, 11.0, 600.0])
def test_a_start_beside_a_host_with_another_lease_is_refused_as_long_as_that_may_write(
    book: Journal, lease: float
) -> None:
    join(book, replace(NEAR, heard=NOW - 2 * LEASE))
    with pytest.raises(ConfigError, match="with a lease of 10 s, and far has"):
        join(book, FAR, lease=lease)
    gone = NOW + 2 * max(lease, LEASE)
    join(book, replace(FAR, heard=gone), lease=lease)
    assert set(seen(book)) == {"far"}  # the other one ends when it comes back
    with pytest.raises(ConfigError, match="far serves the journal"):
        join(book, replace(NEAR, heard=gone))


def test_a_host_that_starts_again_may_have_another_lease_if_it_is_alone(book: Journal) -> None:
    join(book, NEAR)
    join(book, NEAR, lease=LEASE / 2)
    join(book, replace(FAR, heard=NOW), lease=LEASE / 2)
    assert set(seen(book)) == {"near", "far"}
