"""A host that freezes within one call of a handler, and goes on after another has its lane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.apart_site import Apart
from tests.support.engine_site import allocation

pytestmark = pytest.mark.lab

NUMBERS = range(1, 7)


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_what_others_closed_while_a_host_was_frozen_stays_closed(
    tmp_path: Path, after: int
) -> None:
    site = Apart(tmp_path)
    for number in NUMBERS:
        site.drop(allocation(number, "ann", files=5, code=f"c{number}"), f"make{number}.yaml")
    site.drain()
    assert len(opened(site)) == len(NUMBERS)
    ask(site, "suspend", "close")
    site.drain()
    near = site.near

    def meanwhile() -> None:
        site.replace_lanes()
        site.drain()
        assert len(opened(site)) == len(NUMBERS)
        ask(site, "suspend", "again")
        site.drain()
        assert opened(site) == []

    ask(site, "resume", "open")
    near.freeze("first", meanwhile, after)
    near.drain()
    assert site.near is not near
    # A write that was under way when the host froze is sent; no other one is.
    assert len(opened(site)) <= 1
    near.die()


def ask(site: Apart, verb: str, name: str) -> None:
    """Ask for each allocation."""
    for number in NUMBERS:
        site.drop(allocation(number, verb=verb), f"{name}{number}.yaml")


def opened(site: Apart) -> list[str]:
    """Return which accounts are open."""
    return [key for key, row in site.first.rows.items() if row["limit"] == "5"]
