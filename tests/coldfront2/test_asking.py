"""What ColdFront 2 decides becomes a request, by whichever way somebody decides it."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from coldfront.ras.models import Allocation, ProjectUser
from coldfront.slurm.models import SlurmAssociation, SlurmQOS
from django.utils import timezone

from provisioner.coldfront.models import Request
from tests.coldfront2.site import STORE, Site

YESTERDAY = datetime.timedelta(days=-1)


def users(site: Site) -> Any:
    return site.last("allocation.provision")["allocation"]["users"]


def test_nothing_is_asked_for_before_somebody_approves(site: Site, allocation: Allocation) -> None:
    assert site.asked("allocation.provision") == []


def test_an_approval_on_the_page_asks_for_the_owner_and_every_member(
    site: Site, allocation: Allocation
) -> None:
    answer = site.client().post(f"/ras/allocations/{allocation.pk}/approve/", {})
    assert answer.status_code == 302
    asked = site.last("allocation.provision")
    assert asked["on_behalf_of"] == "boss"
    assert asked["allocation"] == {
        "id": str(allocation.pk),
        "resource": "cluster-a",
        "project": {"code": site.project.slug, "title": "Protein folding", "pi": "pi"},
        "users": ["anna", "pi"],
        "slurm": {"account": "folding"},
    }
    assert {row.user for row in site.rows(action="user.provision")} == {"anna", "pi"}


def test_one_page_asks_once(site: Site, allocation: Allocation) -> None:
    site.client().post(f"/ras/allocations/{allocation.pk}/approve/", {})
    assert len(site.asked("allocation.provision")) == 1


def test_a_status_that_an_edit_sets_past_the_flow_is_heard(
    site: Site, allocation: Allocation
) -> None:
    allocation.status = "active"
    allocation.save()
    assert users(site) == ["anna", "pi"]


def test_a_status_that_the_api_sets_past_the_flow_is_heard(
    site: Site, allocation: Allocation
) -> None:
    answer = site.client().patch(
        f"/api/ras/allocations/{allocation.pk}/",
        json.dumps({"status": "active"}),
        content_type="application/json",
    )
    assert answer.status_code == 200, answer.content
    assert users(site) == ["anna", "pi"]


def test_who_joins_and_who_leaves_is_heard(site: Site, active: Allocation) -> None:
    joined = ProjectUser.objects.create(project=site.project, user=site.user("carl"))
    assert users(site) == ["anna", "carl", "pi"]
    joined.delete()
    assert users(site) == ["anna", "pi"]
    assert site.last("project.provision")["project"]["users"] == ["anna", "pi"]


def test_a_project_given_to_another_owner_lets_the_old_one_out(
    site: Site, active: Allocation
) -> None:
    project = site.project
    project.owner = site.user("carl")
    project.save()
    assert users(site) == ["anna", "carl"]


def test_who_may_no_longer_log_in_is_out(site: Site, active: Allocation) -> None:
    anna = site.user("anna")
    anna.is_active = False
    anna.save()
    assert users(site) == ["pi"]


def test_a_login_uses_up_no_number(site: Site, active: Allocation) -> None:
    before = Request.objects.create(event="before", key="before")
    site.client("anna").get("/")
    assert Request.objects.create(event="after", key="after").pk == before.pk + 1


def test_a_member_who_requested_an_allocation_and_left_is_out(
    site: Site, active: Allocation
) -> None:
    assert active.owner == site.user("anna")
    site.member("anna").delete()
    assert users(site) == ["pi"]


# How access ends.


@pytest.mark.parametrize("transition", ["revoke", "expire"])
def test_the_flow_ends_access(site: Site, active: Allocation, transition: str) -> None:
    site.move(active, transition)
    [asked] = site.asked("allocation.suspend")
    status = f"{transition}d".replace("ee", "e")
    assert asked["reason"] == f"the allocation is {status} in ColdFront"


def test_an_end_date_that_passes_ends_access_at_the_next_reconcile(
    site: Site, active: Allocation
) -> None:
    assert len(site.reconcile()) == 1
    site.quietly(active, end_date=timezone.now() + YESTERDAY)
    assert site.reconcile() == []


def test_an_end_date_set_into_the_past_ends_access_at_once(site: Site, active: Allocation) -> None:
    active.end_date = timezone.now() + YESTERDAY
    active.save()
    [asked] = site.asked("allocation.suspend")
    assert asked["reason"] == "the allocation is past its end date in ColdFront"


def test_a_deleted_allocation_ends_access(site: Site, active: Allocation) -> None:
    SlurmAssociation.objects.all().delete()
    active.delete()
    assert site.last("allocation.suspend")["reason"] == "the allocation is deleted in ColdFront"


def test_a_renewal_of_an_active_allocation_keeps_access(site: Site, active: Allocation) -> None:
    site.move(active, "renew")
    assert site.files() == []
    assert len(site.reconcile()) == 1


@pytest.mark.parametrize("before", ["revoke", "expire"])
def test_a_renewal_of_a_closed_allocation_opens_nothing(
    site: Site, active: Allocation, before: str
) -> None:
    site.move(active, before)
    site.done()
    site.clear()
    site.move(active, "renew")
    assert {one["action"] for one in site.files()} == {"allocation.suspend"}
    assert site.reconcile() == []


def test_a_renewal_of_an_allocation_that_was_never_set_up_opens_nothing(
    site: Site, allocation: Allocation
) -> None:
    site.move(allocation, "deny")
    site.move(allocation, "renew")
    assert site.asked("allocation.provision") == []
    assert site.reconcile() == []


# What is beside the allocation.


def test_limits_of_the_association_are_asked_for(site: Site) -> None:
    allocation = site.on_cluster(
        max_jobs=10, max_tres_per_job={"node": 5, "cpu": 20},
        max_wall_duration_per_job=datetime.timedelta(hours=100),
    )  # fmt: skip
    site.move(allocation, "approve")
    slurm = site.last("allocation.provision")["allocation"]["slurm"]
    assert slurm["user_specs"] == "MaxJobs=10:MaxTRES=cpu=20,node=5:MaxWall=100:00:00"


def test_a_qos_that_is_added_to_the_association_is_heard(site: Site, active: Allocation) -> None:
    SlurmAssociation.objects.get().qos_add.add(SlurmQOS.objects.create(name="long"))
    slurm = site.last("allocation.provision")["allocation"]["slurm"]
    assert slurm["user_specs"] == "QOS+=long"


def test_a_storage_quota_is_asked_for_and_its_mode_keeps_its_digits(site: Site) -> None:
    site.move(site.on_storage(hard_limit_bytes=10**12, hard_limit_files=5000), "approve")
    asked = site.last("allocation.provision")["allocation"]
    assert (asked["resource"], asked["quota"]) == (STORE, {"space": 10**12, "files": 5000})
    assert asked["attributes"] == {"path_mode": "2770"}
    assert "storage" not in asked


def test_a_quota_without_a_limit_waits_and_says_for_what(site: Site) -> None:
    site.move(site.on_storage(), "approve")
    assert site.asked("allocation.provision") == []
    [row] = site.rows(state="incomplete")
    assert row.problems == ["fill in the hard limit of the allocation's storage quota"]
