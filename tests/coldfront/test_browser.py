"""The whole chain: from a PI's browser to the lab's AD and Slurm, and back onto the page.

A real ColdFront, a real service, a real Samba AD and Slurm. Nobody of ColdFront's test data is
known in the lab before: whoever gets in is made by the chain.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from coldfront.core.allocation.models import Allocation
from coldfront.core.project.models import Project
from django.contrib.auth.models import User

from provisioner.coldfront.models import Request
from tests.coldfront.browser import Browser
from tests.coldfront.centre import Centre
from tests.coldfront.site import Site

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
]

HPC, STORAGE = "University HPC", "ProjectStorage"
STAFF = "admin"


@dataclass(frozen=True)
class Cast:
    """Who plays, and in which account: nobody whom the lab knows."""

    pi: str
    member: str
    account: str

    @classmethod
    def new_to(cls, centre: Centre) -> Cast:
        """Take the names of ColdFront's test data; in a lab that knows them, further ones."""
        for number in count(1):
            suffix = str(number) if number > 1 else ""
            cast = cls(f"cgray{suffix}", f"jjames{suffix}", f"tides{suffix}")
            if all("no such user" in centre.run("id", name) for name in (cast.pi, cast.member)):
                break
        User.objects.filter(username="cgray").update(username=cast.pi)
        User.objects.filter(username="jjames").update(username=cast.member)
        return cast


@pytest.fixture
def centre(site: Site, tmp_path: Path) -> Iterator[Centre]:
    """Give a centre whose resources say what they are."""
    site.says(HPC, slurm_cluster="university-hpc")
    site.says(STORAGE, provisioner_resource="project-storage")
    with Centre.at(Path(os.environ["PROVISIONER_LAB"]), tmp_path) as centre:
        yield centre


@pytest.fixture
def cast(centre: Centre) -> Cast:
    return Cast.new_to(centre)


@pytest.fixture
def browser(centre: Centre, tmp_path: Path) -> Iterator[Browser]:
    with Browser.at(centre.url, tmp_path / "profile") as browser:
        yield browser


def request_project(browser: Browser, member: str) -> Project:
    """Make a project with a member, as its PI."""
    browser.open("/project/create/")
    browser.fill_in("title", "Tides")
    browser.fill_in("description", "Of the sea, in and out.")
    browser.choose("field_of_science", "Physical Oceanography")
    browser.press("Save")
    project = Project.objects.get(title="Tides")
    browser.open(f"/project/{project.pk}/add-users-search/")
    browser.fill_in("q", member)
    browser.press_here("Search")
    browser.tick(member)
    browser.press("Add Selected Users to Project")
    return project


def request_allocation(browser: Browser, project: Project, resource: str) -> Allocation:
    browser.open(f"/allocation/project/{project.pk}/create")
    browser.choose("resource", resource)
    browser.fill_in("justification", "To compute when the water comes.")
    browser.tick_all("users")
    browser.press("Submit")
    return Allocation.objects.get(project=project, resources__name=resource)


def approve(browser: Browser, allocation: Allocation, attribute: str, value: str) -> None:
    """Fill in what is needed, and approve, as staff."""
    browser.open(f"/allocation/{allocation.pk}/allocationattribute/add")
    browser.choose("allocation_attribute_type", attribute)
    browser.fill_in("value", value)
    browser.press("Add")
    browser.open(f"/allocation/{allocation.pk}/")
    browser.press("Approve")
    assert Allocation.objects.get(pk=allocation.pk).status.name == "Active"


SECTION = "//*[@id='provisioning']"
"""What the app adds to ColdFront's own pages."""


def steps_of(browser: Browser, allocation: Allocation) -> dict[str, list[str]]:
    """Read on an allocation's page how each user stands, and each step of theirs."""
    browser.open(f"/allocation/{allocation.pk}/")
    return {user.split()[0]: states for user, *states in browser.rows(SECTION)}


def states(**about: object) -> set[str]:
    """Say what became of the last requests about something."""
    rows = Request.objects.filter(**about).order_by("number")
    return {row.state for row in {row.key: row for row in rows}.values()}


def test_from_a_pis_request_to_slurm_and_back(centre: Centre, browser: Browser, cast: Cast) -> None:
    everybody = {cast.pi, cast.member}
    browser.log_in(cast.pi)
    project = request_project(browser, cast.member)
    compute = request_allocation(browser, project, HPC)
    storage = request_allocation(browser, project, STORAGE)
    assert centre.members(cast.account) == []

    browser.log_in(STAFF)
    browser.open(f"/allocation/{storage.pk}/")
    browser.keep("before-approval")
    assert "Before you approve this allocation:" in browser.text()
    approve(browser, compute, "slurm_account_name", cast.account)
    approve(browser, storage, "Storage Quota (GB)", "10")
    centre.settle()

    # What was asked for is so.
    assert states() == {"done"}
    assert set(centre.members(cast.account)) == everybody
    code = project.project_code.lower()
    for name in everybody:
        assert f"({code})" in centre.run("id", name)
    assert (centre.lab / "gpfs/fs1" / code).is_dir()

    # The pages say so: to staff step by step, to the PI in plain words.
    for allocation in (compute, storage):
        shown = steps_of(browser, allocation)
        browser.keep(f"allocation-{allocation.get_parent_resource.name.lower().replace(' ', '-')}")
        assert "Ready." in browser.text()
        assert shown.keys() == everybody
        for state, *steps in shown.values():
            assert state == "Ready"
            assert "Done" in steps and set(steps) <= {"Done", "-"}
    browser.open("/provisioning/")
    browser.keep("staff")
    assert {state for _, _, state, *_ in browser.rows("//body")} == {"Done"}
    browser.log_in(cast.pi)
    browser.open(f"/project/{project.pk}/")
    browser.keep("project")
    said = browser.text()
    assert f"sbatch -A {cast.account}" in said
    assert str(centre.lab / "gpfs/fs1" / code) in said
    told = browser.rows(SECTION)
    assert len(told) == 4 and {state for _, _, state, _ in told} == {"Ready"}

    # Who is removed on the page is gone from the cluster, and from the page.
    browser.open(f"/allocation/{compute.pk}/remove-users")
    browser.tick(cast.member)
    browser.press("Remove Selected Users from Allocation")
    centre.settle()
    assert states() == {"done"}
    assert centre.members(cast.account) == [cast.pi]
    assert steps_of(browser, compute).keys() == {cast.pi}
