"""What comes due at one moment is accepted in short commits, and others have their turn between.

One commit for all of it kept the service from everybody until its watchdog killed it, again and
again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner import service
from provisioner.admission import endings, intake
from provisioner.objects.states import RequestState
from tests.support.clocks import Clocks
from tests.support.crowds import SMALL
from tests.support.ends_site import DAY, ending, look, scheduled
from tests.support.engine_site import Site, allocation, user
from tests.support.manifest_site import newest
from tests.support.policy_site import PORTAL, send

MANY, FEW = 4321, 4322

CONFIG = """\
policy: {rules: [{who: ["*"], actions: ["*"], others: true}]}
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each commit take as long as a moment, and as a turn."""
    monkeypatch.setattr(intake, "MOMENT", 0.0)
    monkeypatch.setattr(endings, "MOMENT", 0.0)
    monkeypatch.setattr(service, "TURN", 0.0)


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
    site.service.house.intake._look_again = site.service.house.intake._look_at_ends = 0.0
    site.take()
    held = [each.subject for each in site.open() if each.state == RequestState.HELD]
    assert sorted(held) == [f"allocation:{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("apart", "held"),
    [(1.0, ["u3", "u4"]), (7200.0, [])],
    ids=["within the minutes of mass", "hours apart"],
)
def test_dates_of_one_writer_count_together_although_a_look_finds_one_of_them(
    tmp_path: Path, clocks: Clocks, apart: float, held: list[str]
) -> None:
    site = Site(tmp_path, SMALL)
    for number in range(5):
        text = ending(user(f"u{number}"), 1 + number * apart / DAY)
        assert send(site, PORTAL, text, f"{number}.yaml").state == "done"
    clocks.go(DAY - 1)
    for _ in range(5):
        clocks.go(apart)
        look(site)
    waits = [each.subject for each in site.open() if each.state == RequestState.HELD]
    assert sorted(waits) == [f"user:{name}" for name in held]


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
