"""One object that cannot be read keeps nobody from its backend, nor one backend from another."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from sqlalchemy import select

from provisioner.journal.schema import objects
from tests.support.engine_site import Site, allocation


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def broken(site: Site, names: Collection[str]) -> None:
    """Make members of an account that cannot be read from then on, and look at them."""
    site.request(allocation(1, ", ".join(names)))
    site.first.unread = set(names)
    site.drop("provisioner: 1\naction: reconcile\n")
    site.service.lanes["first"].drain()


@pytest.mark.parametrize("names", [("ann",), ("ann", "eve")])
def test_objects_that_cannot_be_read_keep_nobody_from_their_backend(
    site: Site, names: tuple[str, ...]
) -> None:
    broken(site, names)
    assert not site.service.lanes["first"].away
    site.drop(allocation(2, "bob").replace("cf", "cg"))
    site.service.lanes["first"].drain()
    site.service.lanes["first"].drain()
    assert "first/member/cg/bob" in site.first.rows


def test_what_cannot_be_read_is_told_and_is_tried_again_until_it_can_be(site: Site) -> None:
    site.first.unread = {"ann"}
    site.drop(allocation(1, "ann"))
    for _ in range(5):
        site.drain()
    assert [record.state for record in site.open()] == ["deferred"]
    with site.system.journal.reading() as conn:
        said = conn.scalar(select(objects.c.error).where(objects.c.key.endswith("ann")))
    assert said and (said.type, said.message) == ("NotReady", "first/member/cf/ann cannot be read")
    site.first.unread = set()
    site.drain()
    assert site.states()["done"] == ["r.yaml"]


def test_a_backend_that_is_away_does_not_shut_another_of_its_lane(site: Site) -> None:
    site.first.lane = site.second.lane = "cluster"
    site.start()
    site.first.away = True
    site.drop(allocation(1, "ann"))
    lane = site.service.lanes["cluster"]
    lane.drain()
    assert lane.away
    site.drop(allocation(2, "bob").replace("resource: one", "resource: two"))
    lane.drain()
    lane.drain()
    assert "second/member/cf/bob" in site.second.rows
    assert site.first.rows == {}
    site.back(site.first)
    assert "first/member/cf/ann" in site.first.rows
    assert not lane.away
