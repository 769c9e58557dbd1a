"""What is done for some objects of a request costs the same, however many others it has.

A manifest's request waits for all that it lists, and an allocation's for all of its users: each
batch of a lane ends some parts of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from provisioner.journal.journal import Connection, Journal
from provisioner.steps import advance
from tests.support import databases
from tests.support.engine_site import Site, allocation, control
from tests.support.gated_site import GATED
from tests.support.manifest_site import POLICY, entry, reconcile
from tests.support.portions_site import send
from tests.support.waiting import until

BATCH = 10
FEW, MANY = 40, 160

SETTINGS = "first: 0.01, most: 0.02, tries: 3"
SMALL = GATED.replace(SETTINGS, f"{SETTINGS}, batch: {BATCH}") + POLICY
"""Lanes that take few objects at once."""


def listed(site: Site, number: int) -> None:
    """Let a manifest's request wait for a look at all that it lists."""
    lines = [entry(one) for one in range(number)]
    reconcile(site, *lines)
    send(site, *lines)
    site.take()


def gated(site: Site, number: int) -> None:
    """Let an allocation wait for its users, each of whom is to be known first."""
    site.drop(allocation(1, ", ".join(f"u{one}" for one in range(number))))
    assert site.lanes["first"].drain() == 1


WAITING: dict[str, tuple[Callable[[Site, int], None], str]] = {
    "a look at all that a manifest lists": (listed, "first"),
    "users who are known, and begin": (gated, "second"),
}
"""What waits, and for which lane."""


class Counted:
    """Counts the instructions that SQLite runs for a site's journal."""

    def __init__(self, site: Site) -> None:
        self.number = 0
        with site.system.journal.reading() as conn:
            database: Any = conn.connection.driver_connection
        self._database = database
        self._database.set_progress_handler(self._count, 1)

    def _count(self) -> int:
        self.number += 1
        return 0

    def stop(self) -> int:
        """Count no more; return how many there were."""
        self._database.set_progress_handler(None, 1)
        return self.number


def instructions(site: Site, lane: str, patch: pytest.MonkeyPatch) -> list[int]:
    """Let a lane do what is due; return how many instructions were run for each commit."""
    ran, at = Counted(site), [0]
    transaction = Journal.transaction

    @contextmanager
    def noting(book: Journal, **more: Any) -> Iterator[Connection]:
        with transaction(book, **more) as conn:
            yield conn
        at.append(ran.number)

    with patch.context() as here:
        here.setattr(Journal, "transaction", noting)
        site.lanes[lane].drain()
    ran.stop()
    return [later - sooner for sooner, later in pairwise(at)]


@pytest.mark.sqlite
@pytest.mark.parametrize("how", WAITING)
def test_a_commit_costs_what_its_batch_does(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advance, "LARGE", FEW)
    cost = {}
    for number in (FEW, MANY):
        (tmp_path / str(number)).mkdir()
        site = Site(tmp_path / str(number), text=SMALL)
        wait, lane = WAITING[how]
        wait(site, number)
        each = instructions(site, lane, monkeypatch)
        assert len(each) >= number / BATCH
        # Two read all of it: with one a step begins, and with another one the request is over.
        cost[number] = sorted(each)[-3]
    assert cost[MANY] < 1.1 * cost[FEW]


STEERED = {
    "held and let go": ("request.hold", "request.release"),
    "cancelled and tried again": ("request.cancel", "request.retry"),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("how", STEERED)
def test_a_request_that_somebody_steers_costs_what_it_has(how: str, tmp_path: Path) -> None:
    cost = {}
    for number in (FEW, MANY):
        (tmp_path / str(number)).mkdir()
        site = Site(tmp_path / str(number), text=SMALL)
        gated(site, number)
        [request] = site.open()
        ran = Counted(site)
        for verb in STEERED[how]:
            site.drop(control(verb, request.id), f"{verb}.yaml")
        cost[number] = ran.stop()
        assert not site.states()["failed"]
    assert cost[MANY] < 1.2 * MANY / FEW * cost[FEW]


def fetched(address: str, since: datetime) -> int:
    """Return how many rows of parts of steps a server has read for a journal that is closed.

    since: when its site was made; a test before may have left one that is still open.
    """
    asked = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name LIKE 'provisioner %%' AND backend_start >= %s"
    )
    with psycopg.connect(address, autocommit=True) as conn:
        until(lambda: conn.execute(asked, (since,)).fetchall() == [(0,)], "its processes end")
        [(rows,)] = conn.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables "
            "WHERE schemaname = current_schema() AND relname = 'step_objects'"
        )
    return int(rows)


@pytest.mark.lab
def test_a_server_reads_as_much_for_each_part_of_a_large_request(tmp_path: Path) -> None:
    read = {}
    for number in (FEW, MANY):
        (tmp_path / str(number)).mkdir()
        since = datetime.now(UTC)
        address = databases.cluster().make() + "%20-cenable_seqscan%3Doff"  # as with many rows
        text = SMALL.replace("journal: journal.db", f"journal: {address}")
        site = Site(tmp_path / str(number), text=text)
        listed(site, number)
        with psycopg.connect(address, autocommit=True) as conn:
            conn.execute("VACUUM ANALYZE step_objects")
        site.drain()
        site.die()
        read[number] = fetched(address, since)
    assert read[MANY] < 1.2 * MANY / FEW * read[FEW]
