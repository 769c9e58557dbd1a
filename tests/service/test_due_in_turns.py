"""What comes due at one moment is accepted in short commits, and others have their turn between.

One commit for all of it kept the service from everybody until its watchdog killed it, again and
again.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner import service
from provisioner.admission import endings, intake
from provisioner.objects.states import RequestState
from tests.support.clocks import Clocks
from tests.support.ends_site import DAY, ending, look
from tests.support.engine_site import Site, allocation, user
from tests.support.manifest_site import newest

MANY, FEW = 4321, 4322

CONFIG = """\
policy: {rules: [{who: ["*"], actions: ["*"], others: true}]}
"""

SOON = 0.4
"""Seconds until all of it is due."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each commit take as long as a moment, and as a turn."""
    monkeypatch.setattr(intake, "MOMENT", 0.0)
    monkeypatch.setattr(endings, "MOMENT", 0.0)
    monkeypatch.setattr(service, "TURN", 0.0)


def scheduled(site: Site, *owners: int) -> None:
    """Schedule a request of each owner for one moment, in this order, and wait for it."""
    due = datetime.now(UTC) + timedelta(seconds=SOON)
    for number, owner in enumerate(owners):
        path = site.spool.staging / f".{number}"
        path.write_text(allocation(number, "ann", head=f"not_before: {due.isoformat()}\n"))
        os.chown(path, owner, owner)
        path.rename(site.spool.staging / f"{number}.yaml")
        site.take()
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()) + 0.01)
    site.service.intake._look_again = 0.0


def waiting(site: Site) -> list[str]:
    return [each.name for each in site.open() if each.state == RequestState.SCHEDULED]


def test_each_look_accepts_some_and_the_service_says_that_it_is_alive(tmp_path: Path) -> None:
    site = Site(tmp_path, CONFIG)
    scheduled(site, *[MANY] * 5)
    alive: list[int] = []
    site.service._alive = lambda: alive.append(len(waiting(site)))
    looks = 0
    while waiting(site):
        assert site.service.take()
        looks += 1
    assert looks == 5
    assert alive == [4, 3, 2, 1, 0]


def test_a_file_of_another_is_accepted_at_the_next_look(tmp_path: Path) -> None:
    site = Site(tmp_path, CONFIG)
    scheduled(site, *[MANY] * 5)
    (site.spool.staging / "other.yaml").write_text(user("bob", uid=5))
    site.service.take()
    assert "other.yaml" in {each.name for each in site.open()}
    assert len(waiting(site)) == 4


def test_writers_take_turns_among_what_is_due(tmp_path: Path) -> None:
    site = Site(tmp_path, CONFIG)
    scheduled(site, *[MANY] * 5, FEW)
    site.service.take()
    site.service.take()
    assert waiting(site) == ["1.yaml", "2.yaml", "3.yaml", "4.yaml"]


def test_dates_that_one_look_finds_are_one_crowd_however_many_commits_follow_them(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, "policy: {mass: {users: 3, share: 10}}\n")
    for number in range(5):
        site.drop(ending(allocation(number, f"u{number}"), 1), f"{number}.yaml")
    site.drain()
    clocks.go(2 * DAY)
    site.service.intake._look_again = site.service.intake._look_at_ends = 0.0
    site.take()
    held = [each.subject for each in site.open() if each.state == RequestState.HELD]
    assert sorted(held) == [f"allocation:{number}" for number in range(5)]


@pytest.mark.parametrize(("many", "state"), [(100_000, "done"), (1, "held")])
def test_of_very_many_claims_whoever_has_any_counts_though_others_keep_them_in(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch, many: int, state: str
) -> None:
    """Of 500,000 claims, finding out what each person keeps took 1.9 GB."""
    monkeypatch.setattr(endings, "MANY", many)
    site = Site(tmp_path, "policy: {mass: {users: 3, share: 10}}\n")
    site.request(allocation(1, "u2, u3, u4"), "stays.yaml")
    site.request(ending(allocation(2, "u0, u1"), 1), "two.yaml")
    site.request(ending(allocation(3, "u2, u3, u4"), 1), "three.yaml")
    clocks.go(2 * DAY)
    look(site)
    assert newest(site, "ended-allocation-2.json").state == state
