"""A clock that is set while somebody is warned for being idle: the days of the warning stay."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.journal.records import ledger
from tests.support.clocks import Clocks
from tests.support.engine_site import Site, user
from tests.support.mail_site import queue, tell

HOUR, DAY = 3600.0, 86400.0


def used(site: Site, left: float) -> None:
    """Let the site's program say that bob uses something, and when ann last did."""
    lines = "".join(
        f"{name}\\t{_date(at)}\\n" for name, at in (("bob", time.time()), ("ann", left))
    )
    (site.root / "homes").write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    (site.root / "homes").chmod(0o755)


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def look(site: Site, left: float) -> None:
    """Let the service notice what its clock did, then look for idle people if it is time."""
    used(site, left)
    site.take()
    site.service.house.idle._look()
    site.take()
    site.drain()
    tell(site)


def warnings(site: Site) -> list[int]:
    """List for how many days ann was warned before, the first warning first."""
    found = [m for m in queue(site) if m.event == "idle_warning" and m.person == "ann"]
    return sorted((m.facts["idle"]["days"] for m in found), reverse=True)


def is_closed(site: Site) -> bool:
    with site.system.journal.reading() as conn:
        return ledger.reasons(conn, "user:ann") != []


def passed(site: Site, clocks: Clocks, left: float) -> dict[str, float]:
    """Let days pass until ann is closed; return after how many she was last warned, and closed."""
    found: dict[str, float] = {}
    for hours in range(0, 40 * 24, 8):
        look(site, left)
        if 1 in warnings(site):
            found.setdefault("warned", hours / 24)
        if is_closed(site):
            return {**found, "closed": hours / 24}
        clocks.go(8 * HOUR)
    return found


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    """A site that closes who used nothing for 180 days, with ann and bob."""
    (tmp_path / "mail").mkdir()
    made = Site(
        tmp_path,
        "notify: {mail: {directory: mail, sender: hpc@campus.test, domain: campus.test}}\n"
        "idle:\n  after: 180\n  warn: [30, 7, 1]\n"
        f"  sources: {{homes: {{program: [{tmp_path / 'homes'}]}}}}\n",
    )
    for name in ("ann", "bob"):
        made.request(user(name, uid=7), f"{name}.yaml")
    return made


def warned(site: Site, clocks: Clocks) -> float:
    """Let ann use nothing until she is warned of seven days; return when she last did."""
    left = time.time()
    for days in (152, 23.1):  # a source may note a use 1.5 days late
        clocks.go(days * DAY)
        look(site, left)
    assert warnings(site) == [30, 7]
    return left


def restart(site: Site) -> None:
    site.spool.close()
    site.system.journal.close()
    site.start()


JUMPS = [(), (5 * DAY,), (20 * DAY,), (20 * DAY, 90.0), (-5 * DAY,), (-5 * DAY, 5 * DAY)]


@pytest.mark.parametrize("meanwhile", ["stay", "restart"])
@pytest.mark.parametrize("jumps", JUMPS, ids=str)
def test_who_was_warned_keeps_the_days_that_the_warning_said(
    site: Site, clocks: Clocks, jumps: tuple[float, ...], meanwhile: str
) -> None:
    left = warned(site, clocks)
    for by in jumps:
        clocks.jump(by)
        if meanwhile == "restart":
            restart(site)
        look(site, left)
    after = passed(site, clocks, left)
    assert after["closed"] >= 6.9
    assert after["closed"] - after["warned"] >= 1
    assert after["closed"] <= 14


def test_a_jump_that_is_taken_back_within_the_day_changes_nothing(
    site: Site, clocks: Clocks
) -> None:
    left = warned(site, clocks)
    clocks.jump(20 * DAY)
    look(site, left)
    clocks.jump(-20 * DAY)
    assert 6.9 <= passed(site, clocks, left)["closed"] <= 8


def test_who_was_warned_keeps_the_days_over_a_boot_that_sets_the_clock_right(
    site: Site, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = warned(site, clocks)
    clocks.jump(20 * DAY)
    monkeypatch.setattr("provisioner.recovery.clock._boot_id", ["another"])
    restart(site)
    assert passed(site, clocks, left)["closed"] >= 6.9


def test_nobody_is_looked_for_while_the_clock_is_doubted(site: Site, clocks: Clocks) -> None:
    left = time.time()
    clocks.go(152 * DAY)
    used(site, left)
    clocks.jump(60 * DAY)
    site.service.house.idle._look()
    assert warnings(site) == []
    clocks.go(26 * HOUR)
    look(site, left)
    assert warnings(site) == [30]


@pytest.mark.parametrize("jump", [5 * DAY, -5 * DAY], ids=["forward", "back"])
def test_a_look_during_which_the_clock_is_set_decides_nothing(
    site: Site, clocks: Clocks, jump: float
) -> None:
    clocks.go(152 * DAY)
    began = time.time()
    used(site, began - 152 * DAY)
    clocks.jump(jump)
    site.service.house.idle.walk(began)
    assert warnings(site) == []
