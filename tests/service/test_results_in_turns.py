"""Results in turns: however much one writer's files come to, another's result is soon there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from provisioner.outcome import filing_thread
from tests.support.engine_site import Site, allocation
from tests.support.policy_site import PORTAL, STRANGER, put

POLICY = """\
policy:
  rules:
  - {who: [uid-4711], actions: ["*"]}
"""
MANY = 40


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a site whose filing thread sees to eight requests at once, and does so when it is told.

    MANY files of somebody who may ask for nothing are in staging, and refused.
    """
    monkeypatch.setattr(filing_thread, "_PORTION", 8)
    site = Site(tmp_path, POLICY)
    for number in range(MANY):
        put(site, STRANGER, "", f"x{number:02}.yaml")
    return site


def test_who_is_refused_beside_many_of_another_gets_the_answer_in_the_first_portion(
    site: Site,
) -> None:
    put(site, PORTAL, "", "wrong.yaml")
    while site.service.take():
        pass
    site.service.clerk.work(math.inf)
    failed = site.states()["failed"]
    assert "wrong.yaml" in failed
    assert len(failed) < MANY


def test_what_is_done_while_many_of_another_are_refused_gets_its_result_in_the_next_portion(
    site: Site,
) -> None:
    put(site, PORTAL, allocation(1, "ann"), "mine.yaml")
    for number in range(MANY, 2 * MANY):
        put(site, STRANGER, "", f"x{number:02}.yaml")
    while site.service.take():
        pass
    while sum(lane.drain() for lane in site.service.lanes.values()):
        pass
    for number in range(2 * MANY, 3 * MANY):
        put(site, STRANGER, "", f"x{number:03}.yaml")
    while site.service.take():
        pass
    site.service.clerk.work(math.inf)
    assert site.states()["done"] == ["mine.yaml"]
