"""Each of ColdFront's events becomes a request, through ColdFront's own views."""

from __future__ import annotations

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationStatusChoice,
)
from coldfront.core.allocation.tasks import update_statuses
from coldfront.core.resource.models import Resource
from django.contrib.auth.models import User

from tests.coldfront.allocations import HPC, heard, join
from tests.coldfront.site import Site


@pytest.mark.database
def test_an_allocation_that_is_approved_is_asked_for_as_a_whole(
    site: Site, atomic_requests: bool
) -> None:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    with site.atomic_requests(atomic_requests):
        site.decide(allocation, "approve")
    asked = site.last("allocation.provision")
    [row] = site.rows(action="allocation.provision")
    assert asked["id"] == f"cf-{row.number}"
    assert asked["order"] == {"key": f"allocation-{allocation.pk}", "number": row.number}
    assert asked["allocation"] == {
        "id": str(allocation.pk),
        "resource": "a",
        "project": {"code": "cf1", "title": "Angular momentum in QGP holography", "pi": "cgray"},
        "users": ["cgray"],
        "slurm": {
            "account": "cgray",
            "specs": "Fairshare=100:QOS+=supporters",
            "user_specs": "Fairshare=parent",
        },
    }
    assert "allocation_activate" in row.event and "allocation_activate_user" in row.event


def test_who_is_let_in_is_made_first(site: Site) -> None:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    user = site.last("user.provision")
    assert user["user"] == {
        "name": "cgray",
        "full_name": "Carl Gray",
        "given_name": "Carl",
        "surname": "Gray",
        "email": "cgray@example.com",
    }
    written = {row.action: row.written for row in site.rows(state="written")}
    assert written["user.provision"] < written["allocation.provision"]


def test_a_new_allocation_is_not_asked_for_until_it_is_active(site: Site) -> None:
    project = site.project()
    join(site, project, "jjames")
    site.says("ProjectStorage", provisioner_resource="hpc-storage")
    storage = Resource.objects.get(name="ProjectStorage")
    james = User.objects.get(username="jjames").pk
    form = {"resource": storage.pk, "justification": "data", "quantity": 1, "users": [james],
            "project": project.pk}  # fmt: skip
    site.post(f"/allocation/project/{project.pk}/create", form, "cgray")
    allocation = site.allocation("ProjectStorage")
    assert allocation.status.name == "New"
    assert site.files() == []


def test_an_allocation_that_lacks_something_is_said_and_not_sent(site: Site) -> None:
    site.says("ProjectStorage", provisioner_resource="hpc-storage")
    project = site.project()
    allocation = Allocation.objects.create(
        project=project,
        status=AllocationStatusChoice.objects.get(name="New"),
        justification="data",
    )
    allocation.resources.add(Resource.objects.get(name="ProjectStorage"))
    site.decide(allocation, "approve")
    [row] = site.rows(state="incomplete")
    assert row.problems == ["fill in the allocation attribute 'Storage Quota (GB)'"]
    assert [one for one in site.files() if one["action"] == "allocation.provision"] == []
    site.fill_in(allocation, "Storage Quota (GB)", 500)
    assert site.last("allocation.provision")["allocation"]["quota"] == {"space": "500 GB"}


def test_a_user_who_is_added_comes_in(site: Site, active: Allocation) -> None:
    join(site, site.project(), "jjames")
    site.pick(f"/allocation/{active.pk}/add-users", "userform", "jjames", user="cgray")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "jjames"]


def test_a_user_who_is_removed_goes(site: Site, active: Allocation) -> None:
    join(site, site.project(), "jjames")
    active.add_user(User.objects.get(username="jjames"))
    site.clear()
    site.pick(f"/allocation/{active.pk}/remove-users", "userform", "jjames", user="cgray")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray"]
    assert "allocation_remove_user" in heard(f"allocation-{active.pk}")


def test_a_user_who_is_removed_from_the_project_goes_everywhere(
    site: Site, active: Allocation
) -> None:
    project = site.project()
    join(site, project, "jjames")
    active.add_user(User.objects.get(username="jjames"))
    site.clear()
    site.pick(f"/project/{project.pk}/remove-users/", "userform", "jjames", user="cgray")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray"]
    assert site.last("project.provision")["project"]["users"] == ["cgray"]
    assert "project_remove_user" in heard(f"project-{project.pk}")


def test_who_agrees_to_the_eula_comes_in_although_coldfront_saves_later(
    site: Site, active: Allocation
) -> None:
    site.says(HPC, eula="Be nice.")
    join(site, site.project(), "jjames")
    active.add_user(User.objects.get(username="jjames"))
    assert site.users(active)["jjames"] == "PendingEULA"
    assert [one["allocation"]["users"] for one in site.files() if "allocation" in one] == []
    site.post(f"/allocation/{active.pk}/review-eula", {"action": "accepted_eula"}, "jjames")
    assert site.users(active)["jjames"] == "Active"
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "jjames"]
    assert "allocation_activate_user" in heard(f"allocation-{active.pk}")


def test_who_declines_the_eula_goes(site: Site, active: Allocation) -> None:
    join(site, site.project(), "jjames")
    active.add_user(User.objects.get(username="jjames"))
    site.says(HPC, eula="Be nice.")
    site.clear()
    site.post(f"/allocation/{active.pk}/review-eula", {"action": "declined_eula"}, "jjames")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray"]


@pytest.mark.database
@pytest.mark.parametrize("status", ["Revoked", "Denied"])
def test_access_is_taken_once_and_given_back(
    site: Site, active: Allocation, status: str, atomic_requests: bool
) -> None:
    with site.atomic_requests(atomic_requests):
        site.decide(active, status=status)
    [taken] = site.files()
    assert (taken["action"], taken["allocation"]) == ("allocation.suspend", {"id": str(active.pk)})
    told = heard(f"allocation-{active.pk}-access")
    assert "allocation_disable" in told and "allocation_remove_user" in told
    site.clear()
    with site.atomic_requests(atomic_requests):
        site.decide(active, status="Active")
    [given] = site.files()
    assert given["action"] == "allocation.resume"
    assert given["cause"] == taken["cause"] and given["order"]["key"] == taken["order"]["key"]
    assert given["order"]["number"] > taken["order"]["number"]


def test_what_was_never_asked_for_is_not_suspended(site: Site) -> None:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "deny")
    assert site.rows() == []


def test_a_renewal_that_is_asked_for_keeps_access(site: Site, active: Allocation) -> None:
    join(site, site.project(), "jjames")
    site.quietly(active, "Renewal Requested")
    active.add_user(User.objects.get(username="jjames"))
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "jjames"]
    site.clear()
    site.decide(active, "approve")
    assert site.files() == []


def test_an_allocation_that_expires_at_night_is_closed(site: Site, active: Allocation) -> None:
    Allocation.objects.filter(pk=active.pk).update(end_date="2020-01-01")
    update_statuses()
    [closed] = site.files()
    assert closed["action"] == "allocation.suspend"
    assert closed["reason"] == "the allocation is Expired in ColdFront"
