"""Who has access again, or has none yet, when it would be told is told of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_site import Site, allocation, membership, user
from tests.support.mail_site import notify, project, served, tell
from tests.support.smtp_server import Mailbox

ANN, BOB = "ann@campus.test", "bob@campus.test"


@pytest.fixture
def site(tmp_path: Path, port: int) -> Site:
    return Site(tmp_path, notify(port))


def member(verb: str) -> str:
    return membership(7, "bob", verb).replace("cf}", "cf7}")


LIFTED = {
    "a person": (
        [user("bob", uid=2000)],
        [user("bob", "suspend"), user("bob", "resume")],
        "Your account bob was suspended",
    ),
    "an allocation": (
        [project(7, "bob")],
        [allocation(7, verb="suspend"), allocation(7, verb="resume")],
        "Your access to cf7 on one is suspended",
    ),
    "a member": (
        [project(7, "ann"), member("add")],
        [member("remove"), member("add")],
        "Your access to cf7 on one has ended",
    ),
}


@pytest.mark.parametrize("name", LIFTED)
def test_what_was_taken_away_and_given_back_meanwhile_is_told_when_it_is_taken_away_for_good(
    site: Site, mailbox: Mailbox, name: str
) -> None:
    before, (away, back), subject = LIFTED[name]
    served(site, *before)
    told = mailbox.subjects(BOB)
    assert told
    served(site, away, back)
    assert mailbox.subjects(BOB) == told
    served(site, away)
    assert mailbox.subjects(BOB) == [*told, subject]


def test_who_still_waits_is_told_nothing_by_what_becomes_of_others(
    site: Site, mailbox: Mailbox
) -> None:
    site.first.away = True
    site.first.unread.add("bob")
    served(site, project(7, "ann"), project(7, "ann", "bob"))
    site.back(site.first)
    tell(site)
    assert mailbox.subjects(ANN) == ["cf7 on one is ready"]
    served(site, allocation(7, verb="suspend"), allocation(7, verb="resume"))
    assert mailbox.subjects(BOB) == []
    site.first.unread.clear()
    site.back(site.first)
    tell(site)
    assert mailbox.subjects(BOB) == ["cf7 on one is ready"]


def test_who_has_it_is_told_though_a_newer_request_for_them_waits(
    site: Site, mailbox: Mailbox
) -> None:
    site.request(project(7, "ann"), "first.yaml")
    site.first.away = True
    site.drop(membership(8, "ann", "add").replace("cf}", "cf7}"), "second.yaml")
    tell(site)
    assert mailbox.subjects(ANN) == ["cf7 on one is ready"]
