"""Two tenants with a portal each: neither asks for anything of the other's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.engine_site import Site, allocation, user
from tests.support.policy_site import send

PHYSICS, BIOLOGY = 4711, 4712

GUIDE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with the policy that the documentation shows."""
    shown = re.search(r"Two portals of two tenants.*?```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert shown is not None
    # The tests' backend knows no dashes.
    here = {"physics": f"uid-{PHYSICS}", "biology": f"uid-{BIOLOGY}", "p-*": "p*", "b-*": "b*"}
    named = re.compile("|".join(map(re.escape, here)))
    return Site(tmp_path, named.sub(lambda found: here[found[0]], shown[1]))


def of(tenant: str, number: int, users: str, resource: str = "one") -> str:
    text = allocation(number, users, code=f"{tenant}cf")
    return text.replace("resource: one", f"resource: {resource}")


def test_each_asks_for_its_own(site: Site) -> None:
    asked = {
        PHYSICS: (user("pann"), of("p", 1, "pann")),
        BIOLOGY: (user("bann"), of("b", 2, "bann", "two")),
    }
    states = {send(site, uid, text).state for uid, texts in asked.items() for text in texts}
    assert states == {"done"}


THEIRS = {
    "a user": (user("bann"), "bann"),
    "a suspension of a user": (user("bann", "suspend"), "bann"),
    "a user among its own": (of("p", 1, "pann, bann"), "bann"),
    "a leader of its project": (of("p", 1, "pann").replace("pcf", "pcf, pi: bann"), "bann"),
    "a manager": (of("p", 1, "pann").replace("pcf", "pcf, managers: [bann]"), "bann"),
    "a project": (of("b", 1, "pann"), "bcf"),
    "a resource": (of("p", 1, "pann", "two"), "two"),
    "a project of its user": (user("pann").replace("pann}", "pann, groups: [bcf]}"), "bcf"),
}


@pytest.mark.parametrize("what", THEIRS)
def test_neither_asks_for_anything_of_the_other(site: Site, what: str) -> None:
    text, named = THEIRS[what]
    refused = send(site, PHYSICS, text)
    assert refused.state == "refused"
    assert named in (refused.problems or [])[0]["message"]


def test_the_same_allocation_of_both_stays_whose_it_was_first(site: Site) -> None:
    send(site, PHYSICS, of("p", 1, "pann"))
    refused = send(site, BIOLOGY, of("b", 1, "bann", "two"))
    assert refused.state == "refused"


def test_the_same_own_id_of_both_is_two_requests(site: Site) -> None:
    first = send(site, PHYSICS, "id: x\n" + user("pann"), "1.yaml")
    second = send(site, BIOLOGY, "id: x\n" + user("bann"), "2.yaml")
    assert first.state == second.state == "done"
