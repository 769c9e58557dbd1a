"""Each of ColdFront's events becomes a request, through ColdFront's own views."""

from __future__ import annotations

import datetime

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttributeChangeRequest,
    AllocationAttributeType,
    AllocationChangeRequest,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.allocation.tasks import update_statuses
from coldfront.core.project.models import Project, ProjectUserRoleChoice
from coldfront.core.resource.models import Resource
from django.contrib.auth.models import User
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

HPC = "University HPC"


@pytest.fixture
def active(site: Site) -> Allocation:
    """Give an allocation that is active and was asked for."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    site.clear()
    return allocation


def join(site: Site, project: Project, *names: str) -> None:
    for name in names:
        project.add_user(
            User.objects.get(username=name), ProjectUserRoleChoice.objects.get(name="User")
        )
    site.clear()


def heard(key: str) -> str:
    """Say which events the last request under a key stands for."""
    return str(Request.objects.filter(key=key).latest("number").event)


# Allocations.


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
    site.pick(f"/allocation/{active.pk}/add-users", "userform", "jjames", "cgray")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "jjames"]


def test_a_user_who_is_removed_goes(site: Site, active: Allocation) -> None:
    join(site, site.project(), "jjames")
    active.add_user(User.objects.get(username="jjames"))
    site.clear()
    site.pick(f"/allocation/{active.pk}/remove-users", "userform", "jjames", "cgray")
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray"]
    assert "allocation_remove_user" in heard(f"allocation-{active.pk}")


def test_a_user_who_is_removed_from_the_project_goes_everywhere(
    site: Site, active: Allocation
) -> None:
    project = site.project()
    join(site, project, "jjames")
    active.add_user(User.objects.get(username="jjames"))
    site.clear()
    site.pick(f"/project/{project.pk}/remove-users/", "userform", "jjames", "cgray")
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


def test_an_attribute_that_is_edited_is_a_change(site: Site, active: Allocation) -> None:
    path = f"/allocation/{active.pk}/allocationattribute/edit"
    formset = site.client().get(path).context["formset"]
    sent = {
        "attributeform-TOTAL_FORMS": formset.total_form_count(),
        "attributeform-INITIAL_FORMS": formset.initial_form_count(),
    }
    for number, one in enumerate(formset):
        name, value = one.initial["name"], one.initial["value"]
        sent |= {
            f"attributeform-{number}-{field}": one.initial[field]
            for field in ("attribute_pk", "orig_value", "value")
        }
        if name == "slurm_specs":
            sent[f"attributeform-{number}-value"] = "Fairshare=1"
        assert value is not None
    site.post(path, sent)
    assert site.last("allocation.provision")["allocation"]["slurm"]["specs"] == "Fairshare=1"
    assert "allocation_attribute_changed" in heard(f"allocation-{active.pk}")


def test_a_change_is_asked_for_when_it_is_approved(site: Site, active: Allocation) -> None:
    site.project()
    kinds = AllocationAttributeType.objects.filter(name="slurm_specs")
    kinds.update(is_changeable=True, is_private=False)
    attribute = active.allocationattribute_set.get(allocation_attribute_type__name="slurm_specs")
    sent = {
        "justification": "more",
        "end_date_extension": 0,
        "attributeform-TOTAL_FORMS": 1,
        "attributeform-INITIAL_FORMS": 1,
        "attributeform-0-pk": attribute.pk,
        "attributeform-0-new_value": "Fairshare=2",
    }
    site.post(f"/allocation/{active.pk}/change-request", sent, "cgray")
    assert site.files() == []
    change = AllocationChangeRequest.objects.get()
    wish = AllocationAttributeChangeRequest.objects.get()
    sent = {
        "action": "approve",
        "notes": "",
        "end_date_extension": 0,
        "attributeform-TOTAL_FORMS": 1,
        "attributeform-INITIAL_FORMS": 1,
        "attributeform-0-change_pk": wish.pk,
        "attributeform-0-attribute_pk": attribute.pk,
        "attributeform-0-new_value": "Fairshare=2",
    }
    site.post(f"/allocation/change-request/{change.pk}/", sent)
    assert site.last("allocation.provision")["allocation"]["slurm"]["specs"] == "Fairshare=2"
    assert "allocation_change_approved" in heard(f"allocation-{active.pk}")


def test_quota_5_10_5_is_three_requests_in_order(site: Site) -> None:
    site.says("Budgetstorage", provisioner_resource="hpc-storage")
    allocation = site.allocation("Budgetstorage")
    for value in (5, 10, 5):
        site.fill_in(allocation, "Storage Quota (GB)", value)
    asked = [one for one in site.files() if one["action"] == "allocation.provision"]
    assert [one["allocation"]["quota"]["space"] for one in asked] == ["5 GB", "10 GB", "5 GB"]
    assert len({one["order"]["key"] for one in asked}) == 1


def test_an_end_that_is_put_off_changes_nothing_that_is_asked_for(
    site: Site, active: Allocation
) -> None:
    site.project()
    Allocation.objects.filter(pk=active.pk).update(is_changeable=True, end_date="2098-01-01")
    sent = {
        "justification": "more",
        "end_date_extension": 90,
        "attributeform-TOTAL_FORMS": 0,
        "attributeform-INITIAL_FORMS": 0,
    }
    site.post(f"/allocation/{active.pk}/change-request", sent, "cgray")
    assert "allocation_change_created" in heard(f"allocation-{active.pk}")
    change = AllocationChangeRequest.objects.get()
    site.post(
        f"/allocation/change-request/{change.pk}/", {"action": "approve", "notes": "", **sent}
    )
    assert str(Allocation.objects.get(pk=active.pk).end_date) == "2098-04-01"
    assert "allocation_change_approved" in heard(f"allocation-{active.pk}")
    assert site.files() == []


def test_an_attribute_that_is_deleted_is_a_change(site: Site, active: Allocation) -> None:
    site.delete_attribute(active, "slurm_specs")
    assert "specs" not in site.last("allocation.provision")["allocation"]["slurm"]


# What ColdFront has no signal for, and is seen as it is saved.


def test_a_pis_wish_to_renew_keeps_access(site: Site, active: Allocation) -> None:
    site.project()
    soon = timezone.localdate() + datetime.timedelta(days=30)
    Allocation.objects.filter(pk=active.pk).update(end_date=soon)
    site.post(f"/allocation/{active.pk}/renew", {}, "cgray")
    assert Allocation.objects.get(pk=active.pk).status.name == "Renewal Requested"
    assert site.files() == []


def test_an_invoice_that_is_not_paid_closes_and_one_that_is_opens(
    site: Site, active: Allocation
) -> None:
    path = f"/allocation/{active.pk}/invoice/"
    site.post(path, {"status": AllocationStatusChoice.objects.get(name="Payment Declined").pk})
    site.quietly(active, "Payment Requested")
    site.decide(active, status="Active")
    assert [one["action"] for one in site.files()] == ["allocation.suspend", "allocation.resume"]


def test_a_status_that_is_saved_as_djangos_admin_does_is_seen(
    site: Site, active: Allocation
) -> None:
    with transaction.atomic():
        active.status = AllocationStatusChoice.objects.get(name="Expired")
        active.save()
        assert site.files() == []
    assert [one["action"] for one in site.files()] == ["allocation.suspend"]


def test_a_user_whose_status_is_edited_in_djangos_admin_is_seen(
    site: Site, active: Allocation
) -> None:
    active.add_user(User.objects.get(username="jjames"))
    row = AllocationUser.objects.get(allocation=active, user__username="jjames")
    removed = AllocationUserStatusChoice.objects.get(name="Removed").pk
    site.edit(f"/admin/allocation/allocationuser/{row.pk}/change/", status=removed)
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray"]


def test_an_allocation_that_is_deleted_is_closed(site: Site, active: Allocation) -> None:
    pk = active.pk
    active.delete()
    [closed] = site.files()
    assert (closed["action"], closed["allocation"]) == ("allocation.suspend", {"id": str(pk)})


# Projects.


@pytest.mark.database
def test_a_new_project_is_asked_for_with_its_pi(site: Site, atomic_requests: bool) -> None:
    form = {"title": "Tides", "description": "Of the sea, in and out", "field_of_science": 149}
    with site.atomic_requests(atomic_requests):
        site.post("/project/create/", form, "cgray")
    project = site.project("Tides")
    assert site.last("project.provision")["project"] == {
        "code": project.project_code,
        "title": "Tides",
        "pi": "cgray",
        "users": ["cgray"],
    }


def test_a_project_of_a_title_that_another_has_is_one_of_its_own(site: Site) -> None:
    for pi in ("cgray", "sfoster"):
        User.objects.get(username=pi).userprofile.__class__.objects.filter(
            user__username=pi
        ).update(is_pi=True)
        form = {"title": "Tides", "description": "Of the sea, in and out", "field_of_science": 149}
        site.post("/project/create/", form, pi)
    codes = {one["project"]["code"] for one in site.files() if "project" in one}
    assert len(codes) == 2


def test_a_project_that_is_edited_is_said_anew(site: Site) -> None:
    project = site.project()
    form = {
        "title": "Angular moments",
        "description": project.description,
        "field_of_science": project.field_of_science.pk,
    }
    site.post(f"/project/{project.pk}/update/", form, "cgray")
    assert site.last("project.provision")["project"]["title"] == "Angular moments"
    assert "project_update" in heard(f"project-{project.pk}")


def test_a_user_who_joins_a_project_is_a_member(site: Site) -> None:
    project = site.project()
    role = ProjectUserRoleChoice.objects.get(name="User")
    project.add_user(User.objects.get(username="jjames"), role)
    assert site.last("project.provision")["project"]["users"] == ["cgray", "jjames"]
    assert "project_activate_user" in heard(f"project-{project.pk}")


def test_an_archived_project_is_archived_and_its_allocations_are_closed(
    site: Site, active: Allocation
) -> None:
    project = site.project()
    join(site, project, "jjames")
    site.post(f"/project/{project.pk}/archive", {}, "cgray")
    asked = {one["action"] for one in site.files()}
    assert asked == {"project.archive", "allocation.suspend"}
    assert "project_archive" in heard(f"project-{project.pk}")


def test_who_joins_a_project_is_made_first(site: Site) -> None:
    site.join(site.project(), "jjames")
    assert [one["user"]["name"] for one in site.files() if "user" in one] == ["cgray", "jjames"]


def test_a_centre_may_ask_for_allocations_alone(site: Site) -> None:
    with override_settings(PROVISIONER_PROJECTS=False):
        site.join(site.project(), "jjames")
    assert site.rows() == []
