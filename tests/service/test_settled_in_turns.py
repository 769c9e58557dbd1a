"""What very many requests wait for is recorded in short commits, with others' turns between.

All allocations of a project wait for its account: a commit for 20,000 of them kept everybody out.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provisioner.contract import Key
from provisioner.journal import dialect
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.records import request_rows, step_moves
from provisioner.journal.schema import objects
from provisioner.objects.states import RequestState
from provisioner.steps import settling
from provisioner.steps.binding import Progress
from provisioner.steps.settling import Settled, Verdict
from provisioner.system.ulid import RequestId
from tests.support.engine_site import Killed, Site, allocation
from tests.support.portions_site import restart

MANY = 5


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a site at which many wait for one account, and two of them end in a commit."""
    monkeypatch.setattr(settling, "MOST", 2)
    site = Site(tmp_path)
    for number in range(MANY):
        site.drop(allocation(number), f"{number}.yaml")
    return site


def noted(patch: pytest.MonkeyPatch, most: int = 99) -> list[int]:
    """Note how many requests end in each commit. most: commits before the service dies."""
    ended: list[int] = []
    settle = settling.settle

    def noting(
        conn: Connection,
        verdicts: Mapping[Key, Verdict],
        rows: Sequence[Any],
        progress: Progress,
        now: float,
        *,
        rest: bool,
    ) -> Settled:
        if len(ended) == most:
            raise Killed
        settled = settle(conn, verdicts, rows, progress, now, rest=rest)
        ended.append(len(settled.made.outcomes))
        return settled

    patch.setattr(settling, "settle", noting)
    return ended


def test_each_commit_ends_some(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = noted(monkeypatch)
    site.drain()
    assert ended == [2, 2, 1]
    assert len(site.results("done")) == MANY


def test_a_kill_between_two_of_them_loses_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        noted(patch, most=1)
        site.drain()
    assert len(site.open()) == MANY - 2
    restart(site)
    site.drain()
    assert sorted(site.states()["done"]) == [f"{number}.yaml" for number in range(MANY)]


def test_all_are_told_at_once_that_they_wait(site: Site) -> None:
    site.first.missing.add("cf")
    site.service.lanes["first"].drain()
    assert {one.state for one in site.open()} == {RequestState.DEFERRED}
    site.first.missing.clear()
    site.drain()
    assert len(site.results("done")) == MANY


def test_those_who_go_on_waiting_are_told_in_short_commits_and_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    write = step_moves.write_parts

    def noting(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        told.append(len(rows))
        write(conn, rows)

    monkeypatch.setattr(step_moves, "write_parts", noting)
    site.first.missing.add("cf")
    site.service.lanes["first"].drain()
    assert [number for number in told if number] == [2, 2, 1]
    assert {one.state for one in site.open()} == {RequestState.DEFERRED}
    told.clear()
    time.sleep(0.03)
    site.service.lanes["first"].drain()
    assert sum(told) == 0, "the next try says the same"


def test_that_many_requests_wait_now_is_written_in_short_commits(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "_CHUNK", 2)
    deferred: list[int] = []
    defer = request_rows.defer

    def noting(conn: Connection, ids: Collection[RequestId]) -> list[RequestId]:
        deferred.append(len(ids))
        return defer(conn, ids)

    monkeypatch.setattr(request_rows, "defer", noting)
    site.first.missing.add("cf")
    site.service.lanes["first"].drain()
    assert deferred == [2, 2, 1]
    assert {one.state for one in site.open()} == {RequestState.DEFERRED}


def begun(site: Site) -> int:
    """Count the members that were ever due: their steps have begun."""
    with site.system.journal.reading() as conn:
        rows = conn.execute(select(objects.c.generation).where(objects.c.key.contains("/member/")))
        return sum(generation > 0 for (generation,) in rows)


def beginning(site: Site, patch: pytest.MonkeyPatch) -> list[int]:
    """Let the lane make what is due once; return how many members had begun after each commit."""
    after: list[int] = []
    finish = Journal.transaction

    @contextmanager
    def noting(book: Journal, **more: Any) -> Iterator[Connection]:
        with finish(book, **more) as conn:
            yield conn
        after.append(begun(site))

    with patch.context() as here:
        here.setattr(Journal, "transaction", noting)
        site.service.lanes["first"].drain()
    return sorted(set(after) - {0})


def test_all_that_waits_for_one_object_does_not_begin_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "MOVED", 8)
    site = Site(tmp_path)
    for number in range(4):
        site.drop(allocation(number, f"a{number}, b{number}, c{number}"), f"{number}.yaml")
    assert beginning(site, monkeypatch) == [6, 12]
    site.drain()
    assert len(site.results("done")) == 4


def test_nor_does_all_that_waits_for_the_objects_of_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "MOVED", 8)
    site = Site(tmp_path)
    for number in range(4):
        text = allocation(number, f"a{number}, b{number}, c{number}", code=f"cf{number}")
        site.drop(text, f"{number}.yaml")
    assert beginning(site, monkeypatch) == [6, 12]
    site.drain()
    assert len(site.results("done")) == 4


def test_the_objects_of_one_large_request_are_recorded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "MOVED", 2)
    site = Site(tmp_path)
    site.drop(allocation(1, "ann, bob, dan, eve"), "one.yaml")
    site.service.lanes["first"].drain()
    ended = noted(monkeypatch)
    site.drain()
    assert ended == [1], "four members, and one commit"


def test_what_is_given_up_fails_for_all(site: Site) -> None:
    site.first.poison.add("cf")
    site.drain()
    assert len(site.results("failed")) == MANY
