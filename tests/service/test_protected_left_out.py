"""A protected name in a portal's request is left out alone: it keeps nobody else out, or in."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.request import crowds
from tests.support.engine_site import Site
from tests.support.manifest_site import ask, entry, members, newest, reconcile, told

POLICY = """\
policy:
  portals: [uid-4711]
  protected: {users: [boss]}
  rules:
  - {who: [uid-4711, uid-4714], actions: ["*"], others: true}
"""
OTHER = 4714


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with a portal, and somebody who is none."""
    return Site(tmp_path, POLICY)


@pytest.mark.parametrize("name", ["boss", "games", "admin", "staff", "_x"])
def test_a_protected_name_is_left_out_and_told_and_the_others_are_served(
    site: Site, name: str
) -> None:
    ask(site, entry(1, "u1", name, "u2"))
    asked = newest(site, "one.json")
    assert asked.state == "done"
    assert members(site) == {"cf1/u1", "cf1/u2"}
    [note] = list(asked.problems or [])
    assert (note["key"], note["message"]) == (
        "allocation.users[2]",
        f"{name} is left out: the name is protected, and no request touches it",
    )
    assert crowds.whole(asked.body, asked.listed).users == ("u1", "u2")


def test_who_is_removed_beside_a_protected_name_is_out(site: Site) -> None:
    ask(site, entry(1, "u1", "u2"))
    ask(site, entry(1, "u1", "boss"))
    assert members(site) == {"cf1/u1"}


def test_a_manifest_with_a_protected_name_does_all_else_and_says_so(site: Site) -> None:
    found = reconcile(site, entry(1, "u1", "boss", "u2"), entry(2, "u3"))
    assert (found.state, members(site)) == ("done", {"cf1/u1", "cf1/u2", "cf2/u3"})
    assert "boss is left out" in told(found)
    again = reconcile(site, entry(1, "u1", "boss"), entry(2, "u3"))
    assert (again.state, members(site)) == ("done", {"cf1/u1", "cf2/u3"})


def test_who_is_no_portal_is_refused_as_a_whole(site: Site) -> None:
    ask(site, entry(1, "u1", "boss"), OTHER)
    asked = newest(site, "one.json")
    assert (asked.state, members(site)) == ("refused", set())
    assert "boss is protected" in told(asked)


def test_a_protected_account_is_refused_to_a_portal_too(site: Site) -> None:
    line = entry(1, "u1")
    line["allocation"]["project"] = {"code": "root"}
    ask(site, line)
    assert newest(site, "one.json").state == "refused"
