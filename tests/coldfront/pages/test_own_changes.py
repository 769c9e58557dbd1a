"""Who changed in ColdFront what a request says does not release it, whoever asked for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation, AllocationAttribute, AllocationUser
from coldfront.core.resource.models import Resource, ResourceAttribute, ResourceAttributeType
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from provisioner.coldfront.asking import heard
from provisioner.coldfront.models import Request
from tests.coldfront.pages.looking import HPC, PAGE, asked, controls, press, stands, text
from tests.coldfront.site import Site

Change = Callable[[Site, Any], None]


def of_the_project(site: Site, allocation: Any) -> None:
    site.edit(f"/admin/project/project/{allocation.project_id}/change/", title="Another title")


def of_the_resource(site: Site, allocation: Any) -> None:
    resource_says(site, HPC, slurm_user_specs="GrpJobs=99")


def of_what_is_above_the_resource(site: Site, allocation: Any) -> None:
    """Change what an allocation gets from the grandparent of its resource."""
    top, middle = Resource.objects.exclude(name=HPC).order_by("pk")[:2]
    Resource.objects.filter(pk=middle.pk).update(parent_resource=top)
    Resource.objects.filter(name=HPC).update(parent_resource=middle)
    ResourceAttribute.objects.filter(resource__name=HPC).delete()
    site.says(top.name, slurm_cluster="a")
    resource_says(site, top.name, slurm_cluster="b")


def resource_says(site: Site, resource: str, **attributes: str) -> None:
    """Change attributes of a resource in the admin site, of which ColdFront tells nobody."""
    for name, value in attributes.items():
        row = ResourceAttribute.objects.get(
            resource__name=resource, resource_attribute_type__name=name
        )
        site.edit(f"/admin/resource/resourceattribute/{row.pk}/change/", value=value)


def attribute(site: Site, allocation: Any, name: str, value: str, by: str = "admin") -> None:
    """Correct an attribute of an allocation in the admin site."""
    row = AllocationAttribute.objects.get(
        allocation=allocation, allocation_attribute_type__name=name
    )
    site.edit(f"/admin/allocation/allocationattribute/{row.pk}/change/", by=by, value=value)


@contextmanager
def a_manifest_is_written(when: Any) -> Iterator[None]:
    """Let another process write a manifest when a page saves a row, before the page's end."""

    def other_process(**_: Any) -> None:
        page, heard._here.page = heard._here.page, None
        call_command("provisioner_reconcile")
        heard._here.page = page

    post_save.connect(other_process, sender=when, dispatch_uid="other")
    try:
        yield
    finally:
        post_save.disconnect(sender=when, dispatch_uid="other")


def while_a_manifest_is_written(site: Site, allocation: Any) -> None:
    with a_manifest_is_written(when=AllocationAttribute):
        attribute(site, allocation, "slurm_specs", "GrpJobs=98")


def by_a_script(site: Site, allocation: Any) -> None:
    site.fill_in(allocation, "slurm_specs", "GrpJobs=3")


CHANGES = [
    of_the_project,
    of_the_resource,
    of_what_is_above_the_resource,
    while_a_manifest_is_written,
]


def held(site: Site, allocation: Any, change: Change) -> Request:
    """Let what somebody changed be asked for by a manifest, and be held."""
    site.says(HPC, slurm_user_specs="GrpJobs=1")
    site.fill_in(allocation, "slurm_specs", "GrpJobs=2")
    call_command("provisioner_reconcile")
    stands(site, asked(site, allocation=allocation.pk), "done")
    change(site, allocation)
    call_command("provisioner_reconcile")
    row = asked(site, allocation=allocation.pk)
    assert (row.by, row.state) == ("", "written")
    stands(site, row, "held")
    return row


def is_released_by(site: Site, row: Request, user: str) -> None:
    page = site.get(f"{PAGE}{row.number}/", user)
    assert re.search(r">Release</", page)
    assert "You cannot release this request" not in page
    press(site, row, "release", user, digest="0" * 64)
    assert [(one["action"], one["on_behalf_of"]) for one in controls(site)] == [
        ("request.release", user)
    ]


def is_not_released_by(site: Site, row: Request, user: str, why: str) -> None:
    page = site.get(f"{PAGE}{row.number}/", user)
    assert not re.search(r">Release</", page)
    assert f"You cannot release this request: {why}" in text(page)
    told = text(press(site, row, "release", user, digest="0" * 64).content.decode())
    assert why in told
    assert "nobody releases their own" in told
    assert controls(site) == []


@pytest.mark.parametrize("change", CHANGES)
def test_who_changed_it_does_not_release_what_a_manifest_asks_for(
    site: Site, active: Allocation, change: Change
) -> None:
    is_not_released_by(site, held(site, active, change), "admin", "you have changed in ColdFront")


@pytest.mark.parametrize("change", CHANGES)
def test_somebody_else_releases_it(site: Site, active: Allocation, change: Change) -> None:
    is_released_by(site, held(site, active, change), "hnelson")


def test_who_changed_what_was_done_since_releases_what_others_changed(
    site: Site, active: Allocation
) -> None:
    of_the_project(site, active)
    is_released_by(site, held(site, active, by_a_script), "admin")


def test_who_held_a_request_releases_it(site: Site, active: Allocation) -> None:
    row = held(site, active, of_the_resource)
    Request.objects.create(
        key="x", action="request.hold", of=row.number, by="admin", state="done", digest="hold"
    )
    is_released_by(site, row, "admin")


# What a manifest asks for says of no person who changed it.


def of_the_resources_place(site: Site, allocation: Any) -> None:
    """Take a resource out of provisioning, and with it all of its allocations."""
    resource_says(site, HPC, slurm_cluster="-")


def of_a_name(site: Site, allocation: Any) -> None:
    kind = ResourceAttributeType.objects.get(name="slurm_user_specs")
    site.edit(f"/admin/resource/resourceattributetype/{kind.pk}/change/", name="other_specs")


def of_something_else(site: Site, allocation: Any) -> None:
    other = site.allocation("University Cloud Storage")
    site.edit(f"/admin/allocation/allocation/{other.pk}/change/", description="another one")


def everything_is_done(site: Site) -> None:
    call_command("provisioner_reconcile")
    for row in site.rows(state="written"):
        site.answer(row, "done")
    site.sync()


def held_manifest(site: Site, allocation: Any, change: Change) -> Request:
    """Let somebody change something after all was done, and the next manifest be held."""
    site.says(HPC, slurm_user_specs="GrpJobs=1")
    everything_is_done(site)
    change(site, allocation)
    return next_manifest(site)


def next_manifest(site: Site) -> Request:
    call_command("provisioner_reconcile")
    row = asked(site, "reconcile")
    stands(site, row, "held")
    assert row.by == ""
    return row


@pytest.mark.parametrize(
    "change",
    [of_the_resources_place, of_the_resource, of_the_project, of_a_name, of_something_else],
)
def test_who_changed_anything_since_the_last_manifest_was_done_does_not_release_the_next(
    site: Site, active: Allocation, change: Change
) -> None:
    row = held_manifest(site, active, change)
    is_not_released_by(site, row, "admin", "you have changed something in ColdFront since")


@pytest.mark.parametrize("change", [of_the_resources_place, of_a_name])
def test_who_changed_nothing_since_releases_a_manifest(
    site: Site, active: Allocation, change: Change
) -> None:
    is_released_by(site, held_manifest(site, active, change), "hnelson")


def test_who_changed_only_what_is_done_releases_a_manifest(site: Site, active: Allocation) -> None:
    site.says(HPC, slurm_user_specs="GrpJobs=1")
    of_the_resource(site, active)
    is_released_by(site, held_manifest(site, active, by_a_script), "admin")


@pytest.mark.parametrize("state", ["refused", "failed", "deferred"])
def test_who_changed_what_a_done_manifest_did_not_bring_about_does_not_release_the_next(
    site: Site, active: Allocation, state: str
) -> None:
    site.says(HPC, slurm_user_specs="GrpJobs=1")
    everything_is_done(site)
    of_the_resource(site, active)
    call_command("provisioner_reconcile")
    site.answer(asked(site, allocation=active.pk), state)
    stands(site, asked(site, "reconcile"), "done")
    row = next_manifest(site)
    is_not_released_by(site, row, "admin", "you have changed in ColdFront what it asks for")


def test_who_changed_an_allocation_that_is_closed_by_now_releases_a_manifest(
    site: Site, active: Allocation
) -> None:
    attribute(site, active, "slurm_specs", "GrpJobs=9")
    stands(site, asked(site, allocation=active.pk), "failed")
    site.decide(active, status="Revoked")
    stands(site, asked(site, "allocation.suspend"), "done")
    everything_is_done(site)
    is_released_by(site, next_manifest(site), "admin")


def test_who_let_somebody_in_does_not_release_the_account_that_a_manifest_asks_for(
    site: Site, active: Allocation
) -> None:
    everything_is_done(site)
    User.objects.create(username="newhere")
    site.join(active.project, "newhere")
    with a_manifest_is_written(when=AllocationUser):
        site.pick(f"/allocation/{active.pk}/add-users", "userform", "newhere")
    row = asked(site, "user.provision", user="newhere")
    assert (row.by, row.state) == ("", "written")
    stands(site, row, "held")
    is_not_released_by(site, row, "admin", "you have changed")


# What only repeats an older request, without those who left, asks for nothing that was changed.


def repeats_without_who_left(site: Site, allocation: Any) -> None:
    """Let somebody leave while the whole cannot be asked for, and that be done."""
    before = asked(site, allocation=allocation.pk)
    site.pick(f"/allocation/{allocation.pk}/remove-users", "userform", "jjames", user="cgray")
    removal = asked(site, allocation=allocation.pk)
    assert removal.pk != before.pk
    assert "jjames" not in removal.body
    stands(site, removal, "done")


def test_who_changed_what_a_removal_did_not_ask_for_does_not_release_it(
    site: Site, active: Allocation
) -> None:
    User.objects.filter(username="hnelson").update(is_superuser=True)
    everything_is_done(site)
    attribute(site, active, "slurm_account_name", "no good name!", by="hnelson")
    attribute(site, active, "slurm_specs", "GrpJobs=100000")
    repeats_without_who_left(site, active)
    attribute(site, active, "slurm_account_name", "cf1", by="hnelson")
    row = asked(site, allocation=active.pk)
    assert "GrpJobs=100000" in row.body
    assert row.by == "hnelson"
    stands(site, row, "held")
    is_not_released_by(site, row, "admin", "you have changed in ColdFront what it asks for")


def test_many_held_requests_are_asked_about_as_one(site: Site, active: Allocation) -> None:
    first = held(site, active, of_the_resource)
    asked_of_one = questions(site)
    for number in range(20):
        Request.objects.create(
            key=f"x{number}", action=first.action, allocation=active.pk, state="held", digest="x"
        )
    assert questions(site) == asked_of_one


def test_a_held_manifest_is_asked_about_once_however_much_is_not_done(
    site: Site, active: Allocation
) -> None:
    held_manifest(site, active, by_a_script)
    asked_before = questions(site, "hnelson")
    for number in range(20):
        Request.objects.create(
            key=f"allocation-{number}", action="allocation.provision", allocation=active.pk,
            state="held", digest="x", body="{}",
        )  # fmt: skip
    assert questions(site, "hnelson") == asked_before
    assert asked_before <= 60


def questions(site: Site, user: str = "admin") -> int:
    """Count what the list of requests asks the database."""
    site.get(PAGE, user)  # what a first page reads once
    with CaptureQueriesContext(connection) as asked_now:
        site.get(PAGE, user)
    return len(asked_now)
