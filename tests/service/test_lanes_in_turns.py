"""A lane serves writers in turns, however much is due of one of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest

from provisioner.journal.records import waits
from tests.support.engine_site import Site, user

MANY, FEW = 4321, 4322

CONFIG = """\
policy:
  rules: [{who: ["*"], actions: ["*"], numbers: true, others: true}]
  mass: {share: 100}
"""

AT_ONCE = 8
"""As many objects has a batch of the lane."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site that has accepted twenty users of one writer."""
    site = Site(tmp_path, CONFIG)
    site.service.lanes["first"].most = AT_ONCE
    _drop(site, MANY, [user(f"many{number:02}", uid=2000) for number in range(20)])
    return site


def _drop(site: Site, uid: int, texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        hidden = site.spool.staging / f".{number}"
        hidden.write_text(text)
        os.chown(hidden, uid, uid)
        hidden.rename(site.spool.staging / f"{uid}-{number:02}.yaml")
    site.take()


def written(site: Site) -> list[list[str]]:
    """Drain the lane, and return whom it has written in each batch."""
    before = len(site.first.calls)
    site.drain("first")
    calls = site.first.calls[before:]
    return [[change.key.rpartition("/")[2] for change in call] for call in calls]


def test_who_asks_for_one_thing_is_in_the_next_batch_which_is_short(site: Site) -> None:
    _drop(site, FEW, [user("few", uid=2000)])
    assert written(site)[0] == ["many00", "few"]


def test_of_more_writers_than_a_shared_batch_has_room_for_each_has_one(site: Site) -> None:
    others = range(5001, 5006)
    for uid in others:
        _drop(site, uid, [user(f"of{uid}", uid=2000)])
    assert len(written(site)[0]) == 1 + len(others)


def test_writers_who_ask_for_much_have_equal_shares(site: Site) -> None:
    _drop(site, FEW, [user(f"few{number:02}", uid=2000) for number in range(4)])
    batches = written(site)
    assert [sum("few" in name for name in batch) for batch in batches][:5] == [1, 1, 1, 1, 0]
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 8, 8]


def test_a_writer_who_is_alone_has_whole_batches_in_the_order_of_arrival(site: Site) -> None:
    batches = written(site)
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert [*chain(*batches)] == [f"many{number:02}" for number in range(20)]


def test_a_suspension_is_done_in_the_turn_of_who_asks_for_it(site: Site) -> None:
    site.drain()
    _drop(site, MANY, [user(f"many{number:02}", uid=3000) for number in range(20)])
    _drop(site, FEW, [user("many19", "suspend")])
    assert "many19" in written(site)[0]
    assert site.limit("first/account/many19") == "0"


def test_a_look_at_everything_is_in_the_turn_of_who_asks_for_it(site: Site) -> None:
    site.drain()
    site.first.rows.clear()
    _drop(site, MANY, ["provisioner: 1\naction: reconcile\n"])
    _drop(site, FEW, [user("few", uid=2000)])
    assert "few" in written(site)[0]


def test_a_batch_is_no_larger_than_what_is_wanted_of_it_allows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand users with 170 partitions each took more than a gigabyte."""
    monkeypatch.setattr(waits, "HEAVY", 3 * len('{"present": true, "limit": "2000"}'))
    assert {len(batch) for batch in written(site)} == {3, 2}


def test_what_alone_is_wanted_too_much_of_is_a_batch_of_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "HEAVY", 1)
    assert {len(batch) for batch in written(site)} == {1}
