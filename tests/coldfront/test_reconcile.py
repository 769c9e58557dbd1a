"""The manifest has what ColdFront's signals miss."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttribute,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.project.models import (
    Project,
    ProjectStatusChoice,
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)
from coldfront.core.resource.models import ResourceAttribute
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from provisioner.manifests.manifest import read
from provisioner.request.request import parse_request
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database


def run(*options: str) -> str:
    said = StringIO()
    call_command("provisioner_reconcile", *options, stdout=said, stderr=said)
    return said.getvalue()


def manifest(site: Site) -> dict[str, dict[str, Any]]:
    """Reconcile; give the manifest's subjects, read as the service does."""
    site.clear()
    run()
    [request] = [one for one in site.files() if one["action"] == "reconcile"]
    named = request["manifest"]
    body = (site.staging / named["file"]).read_bytes()
    assert (named["size"], named["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    return {parse_request(text).subject: json.loads(text) for text in read(body).requests}


@pytest.fixture
def active(site: Site) -> Allocation:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    return allocation


def users(site: Site, allocation: Allocation) -> list[str]:
    found: list[str] = manifest(site)[f"allocation:{allocation.pk}"]["allocation"]["users"]
    return found


def test_the_manifest_lists_people_projects_and_allocations(site: Site, active: Allocation) -> None:
    found = manifest(site)
    assert found["user:cgray"]["user"]["surname"] == "Gray"
    assert found["project:cf1"]["project"]["users"] == ["cgray"]
    [asked] = site.rows(action="allocation.provision", allocation=active.pk)
    expected = json.loads(asked.body)["allocation"]
    assert found[f"allocation:{active.pk}"]["allocation"] == expected


def test_an_allocation_whose_resource_says_nothing_is_not_listed(site: Site) -> None:
    assert f"allocation:{site.allocation('Budgetstorage').pk}" not in manifest(site)


LISTED = ("Active", "Renewal Requested")
CLOSED = (
    "Approved", "Denied", "Expired", "New", "Paid", "Payment Declined", "Payment Pending",
    "Payment Requested", "Pending", "Revoked", "Unpaid",
)  # fmt: skip


def test_every_status_that_coldfront_has_is_tried(site: Site) -> None:
    assert {*LISTED, *CLOSED} == set(AllocationStatusChoice.objects.values_list("name", flat=True))


@pytest.mark.parametrize("status", [*LISTED, *CLOSED])
def test_a_status_that_changes_in_silence_is_seen(
    site: Site, active: Allocation, status: str
) -> None:
    site.quietly(active, status)
    assert (f"allocation:{active.pk}" in manifest(site)) is (status in LISTED)


def _quietly_removed(allocation: Allocation) -> None:
    AllocationUser.objects.filter(allocation=allocation, user__username="jjames").update(
        status=AllocationUserStatusChoice.objects.get(name="Removed")
    )


def _quietly_in_error(allocation: Allocation) -> None:
    AllocationUser.objects.filter(allocation=allocation, user__username="jjames").update(
        status=AllocationUserStatusChoice.objects.get(name="Error")
    )


def _not_active(allocation: Allocation) -> None:
    User.objects.filter(username="jjames").update(is_active=False)


@pytest.mark.parametrize("silently", [_quietly_removed, _quietly_in_error, _not_active])
def test_a_user_who_goes_in_silence_is_seen(
    site: Site, active: Allocation, silently: Callable[[Allocation], None]
) -> None:
    active.add_user(User.objects.get(username="jjames"))
    assert users(site, active) == ["cgray", "jjames"]
    silently(active)
    assert users(site, active) == ["cgray"]


def test_an_attribute_that_changes_in_silence_is_seen(site: Site, active: Allocation) -> None:
    rows = AllocationAttribute.objects.filter(
        allocation=active, allocation_attribute_type__name="slurm_specs"
    )
    rows.update(value="Fairshare=3")
    found = manifest(site)[f"allocation:{active.pk}"]["allocation"]
    assert found["slurm"]["specs"] == "Fairshare=3"


def test_an_allocation_that_goes_in_silence_is_seen(site: Site, active: Allocation) -> None:
    key = f"allocation:{active.pk}"
    Allocation.resources.through.objects.filter(allocation=active).delete()
    assert key not in manifest(site)


def test_a_resource_that_is_named_otherwise_in_silence_is_seen(
    site: Site, active: Allocation
) -> None:
    ResourceAttribute.objects.filter(resource__name=HPC, value="a").update(value="b")
    assert manifest(site)[f"allocation:{active.pk}"]["allocation"]["resource"] == "b"


def test_who_is_called_otherwise_in_silence_is_seen(site: Site, active: Allocation) -> None:
    User.objects.filter(username="cgray").update(last_name="Grey", email="grey@example.com")
    found = manifest(site)["user:cgray"]["user"]
    assert (found["surname"], found["email"]) == ("Grey", "grey@example.com")


def test_a_project_that_is_called_otherwise_in_silence_is_seen(
    site: Site, active: Allocation
) -> None:
    Project.objects.filter(pk=active.project.pk).update(title="Tides")
    found = manifest(site)
    assert found["project:cf1"]["project"]["title"] == "Tides"
    assert found[f"allocation:{active.pk}"]["allocation"]["project"]["title"] == "Tides"


def test_an_archive_in_silence_is_seen(site: Site, active: Allocation) -> None:
    Project.objects.filter(pk=active.project.pk).update(
        status=ProjectStatusChoice.objects.get(name="Archived")
    )
    found = manifest(site)
    assert "project:cf1" not in found and f"allocation:{active.pk}" not in found


def test_a_new_pi_and_a_new_role_are_seen(site: Site, active: Allocation) -> None:
    project = active.project
    project.add_user(
        User.objects.get(username="jjames"), ProjectUserRoleChoice.objects.get(name="User")
    )
    Project.objects.filter(pk=project.pk).update(pi=User.objects.get(username="sfoster"))
    ProjectUser.objects.filter(user__username="jjames").update(
        role=ProjectUserRoleChoice.objects.get(name="Manager")
    )
    found = manifest(site)["project:cf1"]["project"]
    assert (found["pi"], found["users"]) == ("sfoster", ["cgray", "jjames", "sfoster"])


def test_a_member_who_goes_in_silence_is_seen(site: Site, active: Allocation) -> None:
    active.project.add_user(
        User.objects.get(username="jjames"), ProjectUserRoleChoice.objects.get(name="User")
    )
    ProjectUser.objects.filter(user__username="jjames").update(
        status=ProjectUserStatusChoice.objects.get(name="Removed")
    )
    assert manifest(site)["project:cf1"]["project"]["users"] == ["cgray"]


def test_what_lacks_something_today_stays_as_it_was_asked_for(
    site: Site, active: Allocation
) -> None:
    AllocationAttribute.objects.filter(
        allocation=active, allocation_attribute_type__name="slurm_account_name"
    ).delete()
    found = manifest(site)[f"allocation:{active.pk}"]["allocation"]
    assert found["slurm"]["account"] == "cgray"
    assert f"allocation:{active.pk}: fill in the allocation attribute" in run()


def test_who_has_left_every_allocation_keeps_the_account(site: Site, active: Allocation) -> None:
    active.add_user(User.objects.get(username="jjames"))
    active.remove_user(User.objects.get(username="jjames"))
    assert "user:jjames" in manifest(site)
    User.objects.filter(username="jjames").update(is_active=False)
    assert "user:jjames" not in manifest(site)


def test_what_a_manifest_took_an_event_gives_back(site: Site, active: Allocation) -> None:
    site.quietly(active, "Expired")
    manifest(site)
    site.clear()
    site.decide(active, status="Active")
    assert [one["action"] for one in site.files()] == ["allocation.resume"]


def test_a_manifest_that_staging_does_not_take_leaves_nothing(
    site: Site, active: Allocation
) -> None:
    site.clear()
    site.staging.rmdir()
    with pytest.raises(CommandError, match="cannot write to staging"):
        run()
    assert site.rows(action="reconcile") == []


def test_a_manifest_can_be_looked_at_first(site: Site, active: Allocation) -> None:
    site.clear()
    lines = [json.loads(line) for line in run("--print").splitlines() if line.startswith("{")]
    assert {"user.provision", "project.provision", "allocation.provision"} == {
        line["action"] for line in lines
    }
    assert list(site.staging.iterdir()) == []


def test_the_number_of_queries_does_not_grow_with_the_allocations(
    site: Site, active: Allocation
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            run()
        return len(captured)

    before = queries()
    status = AllocationStatusChoice.objects.get(name="Active")
    of = AllocationUserStatusChoice.objects.get(name="Active")
    kinds = list(AllocationAttribute.objects.filter(allocation=active))
    made = Allocation.objects.bulk_create(
        Allocation(project=active.project, status=status, justification="x") for _ in range(100)
    )
    through = Allocation.resources.through
    [resource] = active.resources.filter(name=HPC)
    through.objects.bulk_create(through(allocation=one, resource=resource) for one in made)
    AllocationUser.objects.bulk_create(
        AllocationUser(allocation=one, user=user, status=of)
        for one in made
        for user in User.objects.all()[:20]
    )
    AllocationAttribute.objects.bulk_create(
        AllocationAttribute(
            allocation=one,
            allocation_attribute_type=kind.allocation_attribute_type,
            value=kind.value,
        )
        for one in made
        for kind in kinds
    )
    # What is news is read twice, and is a row; a hundred of them are in one question.
    assert queries() <= before + 5
    assert queries() <= before
    assert len(manifest(site)) > 100
