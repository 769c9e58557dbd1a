"""An allocation that is changed, renewed or closed in ColdFront becomes a request."""

from __future__ import annotations

import datetime

from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttributeChangeRequest,
    AllocationAttributeType,
    AllocationChangeRequest,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from tests.coldfront.allocations import heard
from tests.coldfront.site import Site


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
