"""A suspension, resume or removal that a newer request overtook never ends as done."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import CONFIG, Site, allocation, control, membership, user
from tests.support.steering import waits

PROVISION_ANN = user("ann", uid=7)
SUSPEND, RESUME = user("ann", "suspend", cause="x"), user("ann", "resume", cause="x")
ALLOCATION = allocation(1, "ann, bob")
ARCHIVE = "provisioner: 1\naction: project.archive\nproject: {code: cf}\n"
PROJECT = "provisioner: 1\naction: project.provision\nproject: {code: cf}\n"
PROJECTS = """\
project.provision:
    - {name: account, handler: first, with: {account: "{{ project.code }}", limit: "3"}}
"""

PLACES = """\
    - {name: places, handler: accounts, each: user, with: {account: places, user: "{{ user }}"}}
"""
"""A step for each user that a membership.add lacks."""

ASKED = {
    "user.suspend": ([PROVISION_ANN], SUSPEND),
    "user.resume": ([PROVISION_ANN, SUSPEND], RESUME),
    "allocation.suspend": ([ALLOCATION], allocation(1, verb="suspend")),
    "allocation.resume": (
        [ALLOCATION, allocation(1, verb="suspend")],
        allocation(1, verb="resume"),
    ),
    "membership.remove": ([ALLOCATION], membership(1, "bob", "remove")),
    "project.archive": ([PROJECT], ARCHIVE),
}
"""What is so before, and what is then asked for, by action."""

OPPOSITE = {
    "user.suspend": RESUME,
    "user.resume": SUSPEND,
    "allocation.suspend": allocation(1, verb="resume"),
    "allocation.resume": allocation(1, verb="suspend"),
    "membership.remove": membership(1, "bob", "add"),
    "project.archive": PROJECT,
}
"""The newer request that leaves nothing of it."""

BESIDE = {
    "user.suspend": user("ann", "suspend", cause="y"),
    "user.resume": user("ann", "suspend", cause="y"),
    "allocation.suspend": ALLOCATION,
    "allocation.resume": ALLOCATION,
    "membership.remove": membership(1, "eve", "add"),
    "project.archive": PROVISION_ANN,
}
"""A newer request that leaves all of it."""

OVERTOOK = {
    "user.suspend": "lifted the suspension for 'x'",
    "user.resume": "suspended user:ann again for 'x'",
    "allocation.suspend": "lifted the suspension for 'request'",
    "allocation.resume": "suspended allocation:1 again for 'request'",
    "membership.remove": "asked for it again: first/member/cf/bob",
    "project.archive": "asked for it again: first/account/cf",
}
"""What the newer request is told to have done."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends, where projects have an account, too."""
    return Site(tmp_path, text=CONFIG.replace("project.provision: []", PROJECTS))


def record(site: Site, name: str) -> Record:
    with site.system.journal.reading() as conn:
        newest = request_rows.newest(conn, name, "")
    assert newest is not None
    return newest


def messages(asked: Record) -> list[str]:
    return [problem["message"] for problem in asked.problems or ()]


def fails(site: Site, action: str) -> Record:
    """Let a request fail at every object of the first backend."""
    before, text = ASKED[action]
    for each in before:
        site.request(each, "before.yaml")
    site.first.poison = {key.rpartition("/")[2] for key in site.first.rows}
    site.request(text, "asked.yaml")
    site.first.poison = set()
    failed = record(site, "asked.yaml")
    assert failed.state == "failed"
    return failed


@pytest.mark.parametrize("action", ASKED)
def test_a_retry_of_what_a_newer_request_overtook_is_refused_and_names_it(
    site: Site, action: str
) -> None:
    failed = fails(site, action)
    site.request(OPPOSITE[action], "newer.yaml")
    site.request(control("request.retry", failed.id), "retry.yaml")
    [why] = messages(record(site, "retry.yaml"))
    assert record(site, "asked.yaml").state == "failed"
    assert f"{record(site, 'newer.yaml').id} {OVERTOOK[action]} since" in why


@pytest.mark.parametrize("action", ASKED)
def test_a_retry_of_what_is_still_in_force_makes_it(site: Site, action: str) -> None:
    failed = fails(site, action)
    site.request(BESIDE[action], "newer.yaml")
    site.request(control("request.retry", failed.id), "retry.yaml")
    assert record(site, "asked.yaml").state == "done"


def test_a_removal_of_which_something_is_left_is_done_and_says_what_is_not(tmp_path: Path) -> None:
    site = Site(tmp_path, text=CONFIG.replace("  membership.add:", PLACES + "  membership.add:"))
    site.request(ALLOCATION, "before.yaml")
    waits(site, membership(1, "bob", "remove"), "asked.yaml")
    site.drop(membership(1, "bob", "add"), "newer.yaml")
    site.back(site.first)
    asked, newer = record(site, "asked.yaml"), record(site, "newer.yaml")
    assert asked.state == "done"
    assert messages(asked) == [f"{newer.id} asked for it again: first/member/cf/bob"]


@pytest.mark.parametrize("action", ASKED)
def test_what_is_overtaken_while_it_waits_ends_as_superseded_and_names_why(
    site: Site, action: str
) -> None:
    before, text = ASKED[action]
    for each in before:
        site.request(each, "before.yaml")
    waits(site, text, "asked.yaml")
    site.drop(OPPOSITE[action], "newer.yaml")
    site.back(site.first)
    asked, newer = record(site, "asked.yaml"), record(site, "newer.yaml")
    assert (asked.state, newer.state) == ("superseded", "done")
    assert f"{newer.id} {OVERTOOK[action]}" in messages(asked)
