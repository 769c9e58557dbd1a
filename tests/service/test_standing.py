"""Of objects that only a step claims that is not due yet: they are left as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.inspection import planning
from provisioner.request.request import parse_request
from tests.support.engine_site import Site, user


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site where a step waits for another, and what it will claim is there already."""
    site = Site(tmp_path)
    site.second.rows["second/account/ann"] = {"present": True, "limit": "7"}
    site.first.away = True
    site.drop(user("ann", uid=5))
    site.service.lanes["first"].drain()
    site.first.away = False
    return site


def test_nothing_is_missing_of_what_a_later_step_claims(site: Site) -> None:
    one = planning.standing(site.system, ["user:ann"])[1]
    assert (one.key, one.missing, one.state) == (
        "second/account/ann",
        (),
        {"present": True, "limit": "7"},
    )
    assert one.error is not None
    assert "not due yet" in one.error.message


@pytest.mark.parametrize("text", [user("ann", "suspend"), "provisioner: 1\naction: reconcile\n"])
def test_a_plan_leaves_alone_what_a_later_step_claims(site: Site, text: str) -> None:
    plan = planning.plan(site.system, parse_request(text.encode()), "root")
    assert [one.key for step in plan for one in step.objects] == ["first/account/ann"]
    site.drop(text, "then.yaml")
    site.service.lanes["second"].drain()
    assert site.limit("second/account/ann", "second") == "7"
