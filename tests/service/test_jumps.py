"""Clocks that jump more than once: because one lied nobody is closed, and nothing is given up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provisioner.objects.states import MessageState
from tests.support import ends_site, smtp_server
from tests.support.clocks import Clocks
from tests.support.engine_site import Site, user
from tests.support.mail_site import OPERATORS, notify, queue, served, tell
from tests.support.smtp_server import Mailbox

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
KEPT = "retention: {journal_floor: 1}\n"


def closing(tmp_path: Path, more: str = "") -> Site:
    """Serve somebody whose access ends in 30 days, and something that retention could remove."""
    site = Site(tmp_path, KEPT + more)
    site.request(ends_site.ending(user("ann", uid=7), 30))
    look(site)
    return site


def look(site: Site) -> None:
    """Let the service look at dates, and at what is old, now."""
    ends_site.look(site)
    site.service.keeper.prune()


def restart(site: Site) -> None:
    site.spool.close()
    site.system.journal.close()
    site.start()


def boot(site: Site, monkeypatch: pytest.MonkeyPatch, *, since: float = 0.0) -> None:
    """Start the host and the service again. since: seconds that it has run."""
    real = time.clock_gettime
    begun = real(time.CLOCK_BOOTTIME) - since
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) - begun)
    monkeypatch.setattr("provisioner.recovery.clock._boot_id", [f"boot {begun}"])
    restart(site)


def is_whole(site: Site) -> bool:
    """Say whether ann still has access, and her request still lies there."""
    return site.limit("first/account/ann") == "7" and "r.yaml" in site.states()["done"]


@pytest.mark.parametrize("meanwhile", ["stay", "restart"])
@pytest.mark.parametrize(
    "jumps",
    [
        (500 * DAY, -HOUR),
        (500 * DAY, 90),
        (40 * DAY, -MINUTE, -MINUTE, -MINUTE),
        (20 * DAY, 20 * DAY),
        (-10 * DAY, 50 * DAY, -HOUR),
        (40 * DAY, -80 * DAY, 80 * DAY, 90),
        (40 * DAY, -39 * DAY, 39 * DAY, -HOUR),
        (MINUTE, 40 * DAY, -MINUTE),
        (30, 30, 40 * DAY, 30, 30),
    ],
)
def test_jumps_in_any_order_close_nobody_and_remove_nothing(
    tmp_path: Path, clocks: Clocks, jumps: tuple[float, ...], meanwhile: str
) -> None:
    site = closing(tmp_path)
    for by in jumps:
        clocks.jump(by)
        if meanwhile == "restart":
            restart(site)
        look(site)
        assert is_whole(site)
        clocks.go(10 * MINUTE)
        look(site)
    clocks.go(DAY / 2)
    look(site)
    assert is_whole(site)
    clocks.jump(-sum(jumps))
    look(site)
    clocks.go(2 * DAY)
    look(site)
    assert is_whole(site)


def test_small_jumps_do_not_prolong_the_day_in_which_a_large_one_is_doubted(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = closing(tmp_path)
    clocks.jump(40 * DAY)
    for _ in range(23):
        look(site)
        assert is_whole(site)
        clocks.go(HOUR)
        clocks.jump(90)
    clocks.go(3 * HOUR)
    look(site)
    assert site.limit("first/account/ann") == "0"


def test_a_clock_that_creeps_ahead_in_steps_that_are_no_jump_is_found(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = closing(tmp_path)
    clocks.go(30 * DAY - 1.5 * HOUR)
    for _ in range(60):
        clocks.jump(50)
        clocks.go(MINUTE)
        look(site)
        restart(site)
        assert is_whole(site)
    clocks.go(HOUR)
    look(site)
    assert site.limit("first/account/ann") == "0"


def test_a_clock_that_jumps_before_the_first_restart_closes_nobody(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = closing(tmp_path)
    clocks.jump(500 * DAY)
    restart(site)
    look(site)
    assert is_whole(site)


def test_a_jump_is_still_doubted_after_a_boot(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = closing(tmp_path)
    clocks.jump(500 * DAY)
    look(site)
    boot(site, monkeypatch)
    clocks.go(HOUR)
    look(site)
    assert is_whole(site)
    clocks.jump(-500 * DAY)
    look(site)
    clocks.go(2 * DAY)
    look(site)
    assert is_whole(site)


@pytest.mark.parametrize("since", [0.0, 5 * DAY])
def test_a_clock_that_is_ahead_from_the_boot_on_closes_nobody_for_a_day(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch, since: float
) -> None:
    site = closing(tmp_path)
    clocks.jump(500 * DAY)
    boot(site, monkeypatch, since=since)
    for hours in (0.1, 1, 20):
        clocks.go(hours * HOUR)
        look(site)
        assert is_whole(site)
    clocks.go(6 * HOUR)
    look(site)
    assert site.limit("first/account/ann") == "0"


def test_a_clock_that_is_set_right_at_a_boot_is_not_doubted(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = closing(tmp_path)
    clocks.go(29.9 * DAY)
    look(site)
    clocks.jump(40 * DAY)
    look(site)
    clocks.jump(-40 * DAY)
    boot(site, monkeypatch)
    clocks.go(3 * HOUR)
    look(site)
    assert site.limit("first/account/ann") == "0"


@pytest.mark.parametrize(
    "jumps", [(5 * DAY,), (5 * DAY, -HOUR), (500 * DAY, 90), (-5 * DAY, 9 * DAY)]
)
@pytest.mark.parametrize("meanwhile", ["stay", "restart"])
def test_mail_that_waits_for_a_server_is_not_given_up_because_of_a_jump(
    tmp_path: Path, clocks: Clocks, port: int, jumps: tuple[float, ...], meanwhile: str
) -> None:
    site = Site(tmp_path, notify(port))
    served(site, user("ann", uid=7))
    for by in jumps:
        clocks.jump(by)
        if meanwhile == "restart":
            restart(site)
        look(site)
        tell(site)
    clocks.go(1.5 * DAY)
    tell(site)
    assert {message.state for message in queue(site)} == {MessageState.WAITING}
    with smtp_server.serving(port) as mailbox:
        clocks.jump(-sum(jumps))
        look(site)
        tell(site)
    assert mailbox.subjects("ann@campus.test") == ["Your account ann is ready"]


def test_mail_is_given_up_after_the_time_that_it_really_waited(
    tmp_path: Path, clocks: Clocks, port: int
) -> None:
    site = Site(tmp_path, notify(port))
    served(site, user("ann", uid=7))
    clocks.jump(5 * DAY)
    tell(site)
    clocks.go(3.1 * DAY)
    tell(site)
    assert "ann" in {message.person for message in queue(site, MessageState.GIVEN_UP)}


def test_mail_that_waits_over_a_boot_with_a_wrong_clock_is_not_given_up(
    tmp_path: Path, clocks: Clocks, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, notify(port))
    served(site, user("ann", uid=7))
    clocks.jump(5 * DAY)
    boot(site, monkeypatch)
    for hours in (0, 1):
        clocks.go(hours * HOUR)
        look(site)
        tell(site)
        assert {message.state for message in queue(site)} == {MessageState.WAITING}


def test_mail_that_was_sent_while_the_clock_was_ahead_keeps_none_waiting_afterwards(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port, "    per_recipient: 1\n"))
    clocks.jump(5 * DAY)
    served(site, user("ann", uid=7))
    clocks.jump(-5 * DAY)
    site.request(user("ann", "suspend"), "later.yaml")
    tell(site)
    assert len(mailbox.subjects("ann@campus.test")) == 2


def test_what_was_sent_is_listed_although_the_clock_jumps_ahead(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port))
    served(site, user("ann", uid=7))
    clocks.jump(500 * DAY)
    site.service.house.courier._cleaned = 0.0
    tell(site)
    assert "ann" in {message.person for message in queue(site, MessageState.SENT)}


def test_a_digest_that_was_sent_while_the_clock_was_ahead_delays_none_afterwards(
    tmp_path: Path, clocks: Clocks, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port))
    tell(site)
    clocks.jump(5 * DAY)
    tell(site)
    clocks.jump(-5 * DAY)
    tell(site)
    clocks.go(DAY)
    tell(site)
    assert len(mailbox.subjects(OPERATORS)) == 2
