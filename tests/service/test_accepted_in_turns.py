"""Whoever drops much that takes long to accept keeps nobody else out for long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner import service
from provisioner.admission import intake
from tests.support.engine_site import Site, allocation, user


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a site at which each request takes as long as a turn, and has a commit of its own."""
    monkeypatch.setattr(service, "TURN", 0.0)
    monkeypatch.setattr(intake, "TOGETHER", 1)
    site = Site(tmp_path)
    for number in range(5):
        (site.spool.staging / f"{number}.yaml").write_text(allocation(number, "ann"))
    return site


def waiting(site: Site) -> list[str]:
    return sorted(path.name for path in site.spool.staging.iterdir())


def test_what_takes_too_long_to_accept_waits_in_staging_under_its_name(slow: Site) -> None:
    before = waiting(slow)
    slow.service.take()
    left = waiting(slow)
    assert len(left) == 4
    assert set(left) < set(before)
    assert len(slow.open()) == 1


def test_who_had_no_turn_yet_is_accepted_at_the_same_look(slow: Site) -> None:
    last = slow.spool.staging / "other.yaml"
    last.write_text(user("bob", uid=5))
    os.chown(last, 4321, 4321)
    slow.service.take()
    assert "other.yaml" not in waiting(slow)
    assert len(waiting(slow)) == 4


def test_all_of_it_is_accepted_in_the_end_and_once(slow: Site) -> None:
    while slow.service.take():
        pass
    slow.drain()
    assert waiting(slow) == []
    assert sorted(slow.states()["done"]) == sorted(f"{number}.yaml" for number in range(5))


def test_a_wrong_file_among_them_is_refused_all_the_same(slow: Site) -> None:
    (slow.spool.staging / "wrong.yaml").write_text("provisioner: 1")
    (slow.spool.staging / "right.yaml").write_text(user("bob", uid=5))
    while slow.service.take():
        pass
    slow.drain()
    assert slow.states()["failed"] == ["wrong.yaml"]
    assert "right.yaml" in slow.states()["done"]
