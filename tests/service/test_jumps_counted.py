"""What counts by the hour, when the clock was ahead, or a request had waited for its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clocks import Clocks
from tests.support.ends_site import ending, look
from tests.support.engine_site import Site, allocation, membership, user
from tests.support.policy_site import PORTAL, now, send

HOUR, DAY = 3600.0, 86400.0

RULES = """\
policy:
  mass: {{users: 3, minutes: 10}}
  rules:
  - {{who: [uid-4711], actions: ["*"], others: true, {limit}}}
"""

Ask = Callable[[int], str]

LIMITS: dict[str, tuple[str, Ask]] = {
    "requests an hour": ("hourly: 3", lambda n: membership(1, f"u{n}", "add")),
    "new users an hour": ("new_users: 3", lambda n: membership(1, f"new{n}", "add")),
    "people who lose something": ("hourly: 100", lambda n: membership(1, f"u{n}", "remove")),
}
"""What is counted: its limit of three, and the n-th request that counts."""


@pytest.fixture(params=LIMITS)
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Site, Ask]:
    """Give a site with one of the limits, and how to ask for what counts."""
    limit, ask = LIMITS[request.param]
    site = Site(tmp_path, RULES.format(limit=limit))
    send(site, 0, allocation(1, ", ".join(f"u{n}" for n in range(9))))
    return site, ask


def ask_for(limited: tuple[Site, Ask], *numbers: int) -> list[str]:
    site, ask = limited
    return [send(site, PORTAL, ask(n), f"r{n}.yaml").state for n in numbers]


@pytest.mark.parametrize("ahead", [DAY, 400 * DAY])
def test_what_came_while_the_clock_was_ahead_is_not_counted_for_as_long(
    limited: tuple[Site, Ask], clocks: Clocks, ahead: float
) -> None:
    clocks.jump(ahead)
    assert ask_for(limited, 0, 1, 2) == ["done"] * 3
    assert ask_for(limited, 3) != ["done"]
    clocks.jump(-ahead)
    assert ask_for(limited, 4)  # it may be counted with those, for as long as it is right
    clocks.go(1.1 * HOUR)
    assert ask_for(limited, 5, 6) == ["done"] * 2


@pytest.mark.parametrize("ahead", [1800, 5400, 100_000])
def test_new_users_are_counted_in_the_hour_in_which_their_time_comes(
    tmp_path: Path, clocks: Clocks, ahead: int
) -> None:
    site = Site(tmp_path, RULES.format(limit="new_users: 3, numbers: true"))
    due = datetime.fromtimestamp(time.time() + ahead, UTC).isoformat()
    later = f"not_before: {due}\naction:"
    sent = [
        send(site, PORTAL, user(f"u{n}", uid=2000 + n).replace("action:", later), f"u{n}.yaml")
        for n in range(5)
    ]
    clocks.go(ahead + 5)
    look(site)
    look(site)
    states = [now(site, one).state for one in sent]
    assert states == ["done"] * 3 + ["refused"] * 2


def test_dates_that_come_together_are_no_requests_of_their_writer(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, RULES.format(limit="hourly: 3, numbers: true"))
    for n in range(2):
        send(site, PORTAL, ending(user(f"u{n}", uid=2000 + n), 30), f"u{n}.yaml")
    clocks.go(31 * DAY)
    look(site)
    sent = [send(site, PORTAL, membership(1, f"u{n}", "add"), f"r{n}.yaml") for n in range(4)]
    assert [one.state for one in sent] == ["done"] * 3 + ["refused"]
