"""Of each change on a page, ColdFront knows whose it is: also of what it keeps no history of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttributeType,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
    AttributeType,
)
from coldfront.core.project.models import (
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)
from coldfront.core.resource.models import Resource, ResourceAttribute, ResourceAttributeType
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from provisioner.coldfront import changes, whose
from provisioner.coldfront.asking import manifest
from provisioner.coldfront.models import Request
from tests.coldfront.pages.looking import HPC, asked
from tests.coldfront.site import Site

Change = Callable[[Site, Any], None]

ALLOCATION_USERS = "/admin/allocation/allocationuser/"
OTHER = "Another HPC"


def action(name: str) -> Change:
    def change(site: Site, allocation: Any) -> None:
        rows = AllocationUser.objects.filter(allocation=allocation)
        chosen = list(rows.values_list("pk", flat=True))
        site.post(ALLOCATION_USERS, {"action": name, "_selected_action": chosen})

    return change


def renamed(page: str, model: Any, old: str) -> Change:
    def change(site: Site, _: Any) -> None:
        found = model.objects.get(name=old)
        site.edit(f"/admin/{page}/{model._meta.model_name}/{found.pk}/change/", name="other")

    return change


def account(site: Site, _: Any) -> None:
    """Say that somebody may not log in, as when they left."""
    site.edit(_page_of("jjames"), is_active=False, **_JOINED)


_JOINED = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}


def _page_of(name: str) -> str:
    return f"/admin/auth/user/{User.objects.get(username=name).pk}/change/"


def a_resource_is_gone(site: Site, allocation: Any) -> None:
    """Delete the first of an allocation's two resources."""
    first = allocation.get_parent_resource
    site.post(f"/admin/resource/resource/{first.pk}/delete/", {"post": "yes"})


def a_resource_s_attribute_is_another_s(site: Site, _: Any) -> None:
    row = ResourceAttribute.objects.get(
        resource__name=HPC, resource_attribute_type__name="slurm_user_specs"
    )
    other = Resource.objects.get(name=OTHER)
    site.edit(f"/admin/resource/resourceattribute/{row.pk}/change/", resource=other.pk)


CHANGES: dict[str, Change] = {
    "allocation users, by an action": action("set_removed"),
    "a status of allocation users": renamed("allocation", AllocationUserStatusChoice, "Active"),
    "a status of allocations": renamed("allocation", AllocationStatusChoice, "Active"),
    "a status of project users": renamed("project", ProjectUserStatusChoice, "Active"),
    "a role": renamed("project", ProjectUserRoleChoice, "User"),
    "a kind of attributes": renamed("allocation", AttributeType, "Attribute Expanded Text"),
    "a type of allocations' attributes": renamed(
        "allocation", AllocationAttributeType, "slurm_specs"
    ),
    "a type of resources' attributes": renamed(
        "resource", ResourceAttributeType, "slurm_user_specs"
    ),
    "the name of a cluster": renamed("resource", ResourceAttributeType, "slurm_cluster"),
    "an account": account,
    "a resource that is gone": a_resource_is_gone,
    "a resource's attribute that is another's": a_resource_s_attribute_is_another_s,
}


@pytest.fixture
def settled(site: Site, active: Allocation) -> Allocation:
    """Give an allocation of two resources, after everything was done; hnelson is staff, too."""
    User.objects.filter(username="hnelson").update(is_superuser=True)
    kind = Resource.objects.get(name=HPC).resource_type
    active.resources.add(Resource.objects.create(name=OTHER, resource_type=kind))
    site.says(OTHER, slurm_cluster="b")
    site.says(HPC, slurm_user_specs="GrpJobs=1")
    site.fill_in(active, "slurm_specs", "GrpJobs=5")
    everything_is_done(site)
    return active


def everything_is_done(site: Site) -> None:
    call_command("provisioner_reconcile")
    for row in site.rows(state="written"):
        site.answer(row, "done")
    site.sync()


def held_by_page_of(by: str, allocation: Any) -> Request:
    """Give a request that somebody's page asked for, with what others changed."""
    row: Request = Request.objects.create(
        key=f"allocation-{allocation.pk}", action="allocation.provision",
        allocation=allocation.pk, body="{}", digest="x", by=by, state="held",
    )  # fmt: skip
    return row


def asked_since(row: Request) -> list[Request]:
    rows = Request.objects.filter(number__gt=row.number, of=None).exclude(body="")
    rows.update(state="held")
    assert rows
    return list(rows)


@pytest.mark.parametrize("name", CHANGES)
def test_who_changed_it_releases_nothing_that_may_say_it(
    site: Site, settled: Allocation, name: str
) -> None:
    before = Request.objects.latest("number")
    CHANGES[name](site, settled)
    theirs = held_by_page_of("cgray", settled)
    call_command("provisioner_reconcile")
    rows = asked_since(before)
    assert theirs in rows
    assert whose.own("admin", rows).keys() == {row.pk for row in rows}
    assert whose.own("hnelson", rows) == {}


@pytest.mark.parametrize("name", ["a status of allocations", "an account", "the name of a cluster"])
def test_what_is_done_since_is_nobody_s_any_more(
    site: Site, settled: Allocation, name: str
) -> None:
    CHANGES[name](site, settled)
    everything_is_done(site)
    rows = [
        Request.objects.create(
            key=key, action=action, allocation=pk, body="{}", digest="x", by="hnelson", state="held"
        )
        for key, action, pk in (
            (f"allocation-{settled.pk}-access", "allocation.suspend", 4711),
            ("allocation-4711", "allocation.provision", 4711),
        )
    ]
    assert whose.own("admin", rows) == {}


def test_what_a_manifest_asked_for_in_vain_stays_whose_it_is_however_often_it_is_repeated(
    site: Site, settled: Allocation
) -> None:
    CHANGES["a type of allocations' attributes"](site, settled)
    for _ in range(3):
        call_command("provisioner_reconcile")
        for row in site.rows(state="written"):
            site.answer(row, "done" if row.action == "reconcile" else "failed")
        site.sync()
    row = asked(site, allocation=settled.pk)
    assert (row.by, row.state) == ("", "failed")
    assert row.pk in whose.own("admin", [row])
    assert whose.own("hnelson", [row]) == {}


@pytest.mark.parametrize(
    "page",
    [
        "allocation/allocationstatuschoice",
        "project/projectuserrolechoice",
        "allocation/attributetype",
    ],
)
def test_who_added_a_name_releases_what_cannot_say_it(
    site: Site, settled: Allocation, page: str
) -> None:
    site.post(f"/admin/{page}/add/", {"name": "New here"})
    assert whose.own("admin", [held_by_page_of("hnelson", settled)]) == {}


def test_who_changed_the_account_of_somebody_else_releases_it(
    site: Site, settled: Allocation
) -> None:
    User.objects.create(username="elsewhere")
    site.edit(_page_of("elsewhere"), first_name="Sam", **_JOINED)
    assert whose.own("admin", [held_by_page_of("hnelson", settled)]) == {}


def test_an_action_is_asked_for_at_once_by_whom_it_was(site: Site, settled: Allocation) -> None:
    site.clear()
    action("set_removed")(site, settled)
    assert set(site.users(settled).values()) == {"Removed"}
    row = asked(site, allocation=settled.pk)
    assert (row.by, row.state) == ("admin", "written")
    rows = AllocationUser.history.filter(history_user__username="admin", allocation=settled)
    assert {one.status.name for one in rows} == {"Removed"}


def test_an_action_that_deletes_still_does(site: Site, settled: Allocation) -> None:
    chosen = list(AllocationUser.objects.filter(allocation=settled).values_list("pk", flat=True))
    form = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    site.post(ALLOCATION_USERS, form)
    assert site.users(settled) == {}
    assert asked(site, allocation=settled.pk).by == "admin"


def test_a_member_who_is_deleted_is_asked_for_at_once(site: Site, settled: Allocation) -> None:
    row = ProjectUser.objects.get(project=settled.project, user__username="jjames")
    site.post(f"/admin/project/projectuser/{row.pk}/delete/", {"post": "yes"})
    request = asked(site, project=settled.project.pk, action="project.provision")
    assert (request.by, request.state) == ("admin", "written")
    assert "jjames" not in request.body


def test_every_table_that_a_manifest_is_made_from_counts(site: Site, settled: Allocation) -> None:
    with CaptureQueriesContext(connection) as queries:
        manifest.read()
    read = {
        table
        for query in queries
        for table in re.findall(r'(?:FROM|JOIN) ["`]?(\w+)["`]?', query["sql"])
    }
    known = {model._meta.db_table for model in (*changes.RECORDED, *changes.LOGGED)}
    known |= {Allocation.resources.through._meta.db_table}  # its pages save the allocation, too
    ours = {table for table in read if table.startswith("provisioner_")}
    assert "allocation_allocation" in read
    assert read - ours <= known
