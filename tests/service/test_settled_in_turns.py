"""What very many requests wait for is recorded in short commits, with others' turns between.

All allocations of a project wait for its account: a commit for 20,000 of them kept everybody out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.contract import Key
from provisioner.journal.journal import Connection
from provisioner.objects.states import RequestState
from provisioner.steps import settling
from provisioner.steps.binding import Progress
from provisioner.steps.settling import Settled, Verdict
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
        progress: Progress,
        now: float,
        *,
        rest: bool,
    ) -> Settled:
        if len(ended) == most:
            raise Killed
        settled = settle(conn, verdicts, progress, now, rest=rest)
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


def test_what_is_given_up_fails_for_all(site: Site) -> None:
    site.first.poison.add("cf")
    site.drain()
    assert len(site.results("failed")) == MANY
