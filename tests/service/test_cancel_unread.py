"""Removals that ended without a look at the object, and a request that is stopped then.

Two allocations share an account. While its backend is away, the one that only waits for a person
ends the removal of the other one before anything was read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_site import Site, allocation, control


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_whom_an_allocation_left_out_does_not_stay_in_by_another_one_that_is_stopped(
    site: Site, verb: str
) -> None:
    site.request(allocation(1, "bob, cem"), "first.yaml")
    site.first.away = True
    site.request(allocation(1, files=7), "empty.yaml")
    site.drop(allocation(2, "bob", files=7), "other.yaml")
    site.request(allocation(1, "ann"), "again.yaml")
    stop(site, "other.yaml", verb)
    site.back(site.first)
    assert members(site) == {"ann"}
    if verb == "hold":
        stop(site, "other.yaml", "release")
        site.drain()
        assert members(site) == {"ann", "bob"}


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_whom_a_stopped_request_was_to_leave_out_stays_although_another_one_leaves_them_out(
    site: Site, verb: str
) -> None:
    site.request(allocation(1, "dan"), "first.yaml")
    site.first.away = True
    site.request(allocation(1, files=6), "empty.yaml")
    site.request(allocation(2, "bob, dan"), "two.yaml")
    site.request(allocation(2, "bob", files=6), "less.yaml")
    stop(site, "empty.yaml", verb)
    site.back(site.first)
    assert members(site) == {"bob", "dan"}
    if verb == "hold":
        stop(site, "empty.yaml", "release")
        site.drain()
        assert members(site) == {"bob"}


def stop(site: Site, name: str, verb: str) -> None:
    """Let somebody cancel, hold or release a request."""
    (who,) = [record.id for record in site.open() if record.name == name]
    site.drop(control(f"request.{verb}", who), "stop.yaml")


def members(site: Site) -> set[str]:
    """Return who is in the account."""
    return {key.rpartition("/")[2] for key in site.first.rows if "/member/" in key}
