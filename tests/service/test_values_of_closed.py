"""Values that a later step takes from an account that a suspension closed: they are right when it
opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_site import Site, control, user


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site where the second backend's limit is the one that the first reads back."""
    return Site(tmp_path)


def limits(site: Site) -> tuple[str, str]:
    return site.limit("first/account/ann"), site.limit("second/account/ann", "second")


def test_what_was_asked_for_while_it_was_closed_reaches_the_later_steps(site: Site) -> None:
    site.request(user("ann", uid=7))
    site.request(user("ann", "suspend"))
    site.request(user("ann", uid=9))
    assert limits(site) == ("0", "0")
    site.request(user("ann", "resume"))
    assert limits(site) == ("9", "9")


def test_a_lock_is_no_value(site: Site) -> None:
    site.request(user("ann", uid=7))
    site.request(control("lane.pause", "first"))
    site.drop(user("ann", uid=9), "again.yaml")
    site.drop(user("ann", "suspend"), "suspend.yaml")
    site.request(control("lane.unpause", "first"))
    assert limits(site) == ("0", "0")
    site.request(user("ann", "resume"))
    assert limits(site) == ("9", "9")


def test_the_resume_waits_until_the_later_steps_have_the_values(site: Site) -> None:
    site.request(user("ann", uid=7))
    site.request(user("ann", "suspend"))
    site.request(user("ann", uid=9))
    site.drop(user("ann", "resume"))
    site.drain("second")
    assert limits(site) == ("0", "0")
    site.drain("first")
    assert (limits(site), [one.action for one in site.open()]) == (("9", "0"), ["user.resume"])
    site.drain("second")
    assert (limits(site), site.open()) == (("9", "9"), [])


def test_the_lane_that_gets_the_values_is_woken(site: Site) -> None:
    site.request(user("ann", uid=7))
    site.request(user("ann", "suspend"))
    site.request(user("ann", uid=9))
    site.drop(user("ann", "resume"))
    site.drain("second")
    later = site.service.lanes["second"]
    assert later._goes_on()
    site.drain("first")
    assert later._woken.is_set()


def test_a_newer_request_keeps_its_own_values(site: Site) -> None:
    site.request(user("ann", uid=7))
    site.request(user("ann", "suspend"))
    for uid in (8, 9):
        site.request(user("ann", uid=uid))
    site.request(user("ann", "resume"))
    assert limits(site) == ("9", "9")
