"""Who is out is out, whatever else is wrong with an allocation, a project or a title.

Each trigger by ColdFront's own views: something goes wrong, then somebody is removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from coldfront.core.allocation.models import Allocation, AllocationAttribute
from coldfront.core.project.models import Project
from coldfront.core.resource.models import Resource
from django.contrib.auth.models import User
from django.core.management import call_command

from provisioner.coldfront.models import Request, Standing
from tests.coldfront.site import Site

HPC = "University HPC"
STORAGE = "ProjectStorage"

pytestmark = pytest.mark.database

Break = Callable[[Site, Allocation], None]


@pytest.fixture(params=[HPC, STORAGE])
def shared(site: Site, request: pytest.FixtureRequest) -> Allocation:
    """Give an allocation of cgray's, jjames's and sfoster's, whose requests are done."""
    site.says(HPC, slurm_cluster="a")
    site.says(STORAGE, provisioner_resource="hpc-storage")
    allocation = site.allocation(HPC)
    if request.param == STORAGE:
        allocation.resources.set([Resource.objects.get(name=STORAGE)])
        site.fill_in(allocation, "Storage Quota (GB)", 500)
    site.quietly(allocation, "New")
    for name in ("jjames", "sfoster"):
        site.join(allocation.project, name)
        allocation.add_user(User.objects.get(username=name))
    site.decide(allocation, "approve")
    answer(site, "done")
    return allocation


def answer(site: Site, state: str, *, of: str = "") -> None:
    """Answer all that is asked, as the service does; of: only what is about that, the rest done."""
    for row in site.rows(state="written"):
        said = state if of in row.action else "done"
        problems = [{"message": "what is asked cannot be"}] if said == "refused" else []
        site.answer(row, said, problems=problems)
    site.sync()


def remove(site: Site, allocation: Allocation, name: str) -> None:
    site.pick(f"/allocation/{allocation.pk}/remove-users", "userform", name, user="cgray")


def remove_from_project(site: Site, allocation: Allocation, name: str) -> None:
    site.pick(f"/project/{allocation.project.pk}/remove-users/", "userform", name, user="cgray")


def listed(site: Site) -> dict[str, list[str]]:
    """Reconcile; give the users that the manifest says, by subject."""
    site.clear()
    call_command("provisioner_reconcile")
    [path] = site.staging.glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    projects = {f"project:{one['project']['code']}": one["project"]["users"]
                for one in lines if "project" in one}  # fmt: skip
    allocations = {f"allocation:{one['allocation']['id']}": one["allocation"]["users"]
                   for one in lines if "allocation" in one}  # fmt: skip
    return projects | allocations


def needed(allocation: Allocation) -> str:
    kinds = AllocationAttribute.objects.filter(allocation=allocation)
    names = set(kinds.values_list("allocation_attribute_type__name", flat=True))
    is_storage = allocation.get_parent_resource.name == STORAGE
    [name] = names & {"Storage Quota (GB)" if is_storage else "slurm_account_name"}
    return str(name)


def an_attribute_is_deleted(site: Site, allocation: Allocation) -> None:
    site.delete_attribute(allocation, needed(allocation))


def an_attribute_stands_there_twice(site: Site, allocation: Allocation) -> None:
    kind = AllocationAttribute.objects.get(
        allocation=allocation, allocation_attribute_type__name=needed(allocation)
    ).allocation_attribute_type
    AllocationAttribute.objects.create(
        allocation=allocation, allocation_attribute_type=kind, value="7"
    )


def a_quota_is_negative(site: Site, allocation: Allocation) -> None:
    site.fill_in(allocation, "Storage Quota (GB)", -5)


CANNOT_BE_SAID = [
    an_attribute_is_deleted,
    an_attribute_stands_there_twice,
    a_quota_is_negative,
]


@pytest.mark.parametrize("wrong", CANNOT_BE_SAID)
def test_who_is_removed_is_out_though_the_whole_cannot_be_said(
    site: Site, shared: Allocation, wrong: Break
) -> None:
    wrong(site, shared)
    before = site.last("allocation.provision")["allocation"]
    remove(site, shared, "jjames")
    remove_from_project(site, shared, "sfoster")
    assert site.last("allocation.provision")["allocation"] == {**before, "users": ["cgray"]}
    assert site.last("project.provision")["project"]["users"] == ["cgray", "jjames"]
    row = Request.objects.filter(key=f"allocation-{shared.pk}").latest("number")
    assert row.problems != []


@pytest.mark.parametrize("wrong", CANNOT_BE_SAID)
def test_a_manifest_lists_who_is_left_though_the_whole_cannot_be_said(
    site: Site, shared: Allocation, wrong: Break
) -> None:
    wrong(site, shared)
    User.objects.filter(username="jjames").update(is_active=False)
    found = listed(site)
    assert found[f"allocation:{shared.pk}"] == ["cgray", "sfoster"]
    assert found["project:cf1"] == ["cgray", "sfoster"]


# What the service refuses as a whole.


def retitle(site: Site, allocation: Allocation, title: str) -> None:
    project = Project.objects.get(pk=allocation.project.pk)
    form = {
        "title": title,
        "description": project.description,
        "field_of_science": project.field_of_science.pk,
    }
    site.post(f"/project/{project.pk}/update/", form, "cgray")


def test_who_is_removed_is_out_though_the_whole_is_refused(site: Site, shared: Allocation) -> None:
    before = site.last("allocation.provision")["allocation"]
    retitle(site, shared, "A title that a backend refuses")
    remove(site, shared, "jjames")
    remove_from_project(site, shared, "jjames")
    answer(site, "refused", of="provision")
    assert site.last("allocation.provision")["allocation"] == {
        **before,
        "users": ["cgray", "sfoster"],
    }
    project = site.last("project.provision")["project"]
    assert (project["title"], project["users"]) == (
        "Angular momentum in QGP holography",
        ["cgray", "sfoster"],
    )
    row = Request.objects.filter(key=f"allocation-{shared.pk}").latest("number")
    assert (
        "was refused; this request repeats the one before it, without the users who left: what is"
        " asked cannot be" in (row.problems[-1])
    )


def test_what_is_refused_takes_nobody_out_where_nobody_left(site: Site, shared: Allocation) -> None:
    retitle(site, shared, "A title that a backend refuses")
    site.fill_in(shared, "slurm_user_specs", "MaxJobs=1")
    answer(site, "refused", of="provision")
    assert site.rows(state="new") == site.rows(state="written") == []
    assert site.rows(state="refused") != []


def test_a_removal_that_is_refused_by_itself_is_not_said_for_ever(
    site: Site, shared: Allocation
) -> None:
    remove(site, shared, "jjames")
    answer(site, "refused", of="allocation")
    answer(site, "refused", of="allocation")
    count = Request.objects.count()
    answer(site, "refused", of="allocation")
    assert Request.objects.count() == count


def test_what_was_said_since_counts_and_not_what_was_refused(
    site: Site, shared: Allocation
) -> None:
    remove(site, shared, "jjames")
    [refused] = site.rows(state="written")
    shared.add_user(User.objects.get(username="jjames"))
    site.answer(refused, "refused")
    count = Request.objects.count()
    site.sync()
    assert Request.objects.count() == count


def test_a_protected_name_is_left_out_alone_and_told(site: Site, shared: Allocation) -> None:
    site.join(shared.project, "admin")
    shared.add_user(User.objects.get(username="admin"))
    remove(site, shared, "jjames")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "sfoster"]
    assert site.last("project.provision")["project"]["users"] == ["cgray", "jjames", "sfoster"]
    row = Request.objects.filter(key=f"allocation-{shared.pk}").latest("number")
    assert "the user 'admin' is left out: the name is protected" in row.problems[0]
    assert "the user &#x27;admin&#x27; is left out" in site.get("/provisioning/?state=attention")


def test_who_is_left_is_let_in_again_though_the_whole_cannot_be_said(
    site: Site, shared: Allocation
) -> None:
    an_attribute_is_deleted(site, shared)
    site.decide(shared, status="Revoked")
    # ColdFront itself leaves the users of an allocation that is not active as they are.
    shared.remove_user(User.objects.get(username="jjames"))
    site.clear()
    site.decide(shared, status="Active")
    asked = [one["action"] for one in site.files()]
    assert asked == ["allocation.provision", "allocation.resume"]
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "sfoster"]


def test_whom_the_service_left_out_is_told_and_not_called_ready(
    site: Site, shared: Allocation
) -> None:
    shared.remove_user(User.objects.get(username="jjames"))
    [row] = site.rows(state="written")
    left_out = {
        "key": "allocation.users[2]",
        "message": "sfoster is left out: the name is protected",
    }
    site.answer(row, "done", problems=[left_out])
    site.sync()
    found = dict(Standing.objects.filter(allocation=shared.pk).values_list("user", "state"))
    assert found == {"cgray": "ready", "sfoster": "failed"}
    assert "sfoster is left out" in site.get("/provisioning/")


def test_a_project_that_gets_the_code_of_another_stops_nobody_of_that(
    site: Site, shared: Allocation
) -> None:
    # No form of ColdFront has the code; an import of projects brings it.
    other = Project.objects.exclude(pk=shared.project.pk)[0]
    Project.objects.filter(pk=other.pk).update(project_code="CF1")
    site.join(other, "jjames")
    lacking = Request.objects.filter(key=f"project-{other.pk}").latest("number")
    assert "and so has project" in lacking.problems[0]
    remove(site, shared, "jjames")
    remove_from_project(site, shared, "sfoster")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray"]
    assert site.last("project.provision")["project"]["users"] == ["cgray", "jjames"]
    found = listed(site)
    assert found[f"allocation:{shared.pk}"] == ["cgray"]
    assert found["project:cf1"] == ["cgray", "jjames"]
