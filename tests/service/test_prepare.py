"""Handlers hear of what they are to make soon, while other steps of the same request come first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.admission import intake
from provisioner.convergence import lanes
from provisioner.convergence.lanes import Drained, Lane
from provisioner.spool.submit import drop
from tests.support import engine_site
from tests.support.engine_site import Site, allocation

MORE = "first/member/cf/bob"
USER = "provisioner: 1\naction: user.provision\nuser: {{name: {name}, surname: x, uid: 7}}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_handler_hears_of_the_objects_of_a_step_that_waits(site: Site) -> None:
    site.drop(USER.format(name="ann"))
    assert (site.first.prepared, site.second.prepared) == ([], [["second/account/ann"]])


def test_it_hears_of_all_requests_of_a_commit_at_once(site: Site) -> None:
    for name in ("ann", "bob"):
        drop(site.spool.staging, f"{name}.yaml", USER.format(name=name).encode())
    site.take()
    assert site.second.prepared == [["second/account/ann", "second/account/bob"]]


def test_it_hears_of_no_step_that_begins_at_once(site: Site) -> None:
    site.drop(allocation(1, code="aa"))
    assert (site.first.prepared, site.second.prepared) == ([], [])


@pytest.mark.parametrize(("few", "heard"), [(1, []), (2, [["first/member/cf/ann", MORE]])])
def test_it_hears_of_no_crowd(
    site: Site, monkeypatch: pytest.MonkeyPatch, few: int, heard: list[list[str]]
) -> None:
    monkeypatch.setattr(intake, "FEW", few)
    site.drop(allocation(1, users="ann, bob"))
    assert site.first.prepared == heard


@pytest.mark.parametrize("why", ["paused", "away"])
def test_a_backend_that_is_left_alone_hears_of_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    lane = site.service.lanes["second"]
    monkeypatch.setattr(lane if why == "paused" else Lane, why, True)
    site.drop(USER.format(name="ann"))
    assert site.second.prepared == []


def test_a_backend_whose_lane_is_drained_elsewhere_hears_of_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.service.placement, "has", lambda lane: lane != "second")
    site.drop(USER.format(name="ann"))
    assert site.second.prepared == []


def test_it_hears_of_no_request_that_is_refused(site: Site) -> None:
    site.drop(USER.format(name="No"))
    assert site.second.prepared == []


NEEDS = engine_site.CONFIG.replace("handler: second\n", "handler: second\n      needs: [early]\n")


@pytest.mark.parametrize(
    ("trouble", "seen"),
    [("", [[], [["second/account/ann"]]]), ("failed", [[], []]), ("paused", [[], []])],
)
def test_a_handler_may_look_while_what_its_step_needs_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, seen: list[list[list[str]]]
) -> None:
    site = Site(tmp_path, text=NEEDS)
    lane, heard = site.service.lanes["first"], [site.second.ahead.copy()]
    record = lane._record

    def recorded(*given: Any) -> Drained:
        heard.append(site.second.ahead.copy())
        return record(*given)

    monkeypatch.setattr(lane, "_record", recorded)
    site.service.lanes["second"].paused = trouble == "paused"
    site.first.missing |= {"ann"} if trouble == "failed" else set()
    site.drop(USER.format(name="ann"))
    lane.drain()
    assert heard == seen


def test_nobody_looks_ahead_of_a_crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, text=NEEDS)
    monkeypatch.setattr(lanes, "FEW", 1)
    site.drop(USER.format(name="ann"))
    site.service.lanes["first"].drain()
    assert site.second.ahead == []
