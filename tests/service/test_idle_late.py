"""A closing of somebody idle that is judged long after the sources were asked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.clocks import Clocks
from tests.support.engine_site import Site, release, user
from tests.support.idle_site import (
    DAY,
    config,
    idle_site,
    leave,
    live,
    newest,
    reasons,
    seen,
    to_a_closing,
    walk,
    warnings,
)
from tests.support.policy_site import send


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    return idle_site(tmp_path)


@pytest.mark.parametrize("used", [True, False])
def test_a_closing_that_lay_in_staging_is_left_to_the_next_round(
    site: Site, clocks: Clocks, used: bool
) -> None:
    to_a_closing(site, clocks)
    clocks.go(2 * DAY)
    seen(site.root, bob=0, ann=0.5 if used else 192)
    site.take()
    first = newest(site, "idle-ann.json")
    assert (first.state, reasons(site, "ann")) == ("superseded", [])
    site.service.house.idle.walk(time.time())
    clocks.go(DAY)  # nobody takes what that one asked, either
    walk(site)
    last = newest(site, "idle-ann.json")
    assert (bool(reasons(site, "ann")), last.id != first.id) == (not used, not used)
    assert (last.writer_id, warnings(site)) == (first.writer_id, [30, 7, 1])


def test_a_look_at_slow_sources_counts_from_its_end(site: Site, clocks: Clocks) -> None:
    leave(site)
    live(site, clocks, 150, step=50)
    live(site, clocks, 31)
    clocks.go(1.5 * DAY)
    began = time.time()
    clocks.go(DAY / 12)
    seen(site.root, bob=0, ann=190)
    site.service.house.idle.walk(began)
    site.take()
    site.drain()
    assert reasons(site, "ann") == ["root: idle"]


@pytest.mark.parametrize(("days", "closed"), [(2, True), (4, False)])
def test_a_closing_that_waited_for_a_release_is_followed_up_to_three_days_after_a_look(
    tmp_path: Path, clocks: Clocks, days: float, closed: bool
) -> None:
    anyone = "{who: [uid-4712], actions: ['*'], others: true}"
    policy = f"policy: {{mass: {{users: 0, share: 0}}, rules: [{anyone}]}}\n"
    site = Site(tmp_path, config(tmp_path) + policy)
    site.request(user("ann", uid=7), "ann.yaml")
    to_a_closing(site, clocks)
    site.take()
    closing = newest(site, "idle-ann.json")
    clocks.go(days * DAY)
    send(site, 4712, release(closing), "release.yaml")
    assert (closing.state, bool(reasons(site, "ann"))) == ("held", closed)
