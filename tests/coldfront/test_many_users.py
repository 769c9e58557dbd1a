"""An allocation whose users are too many for one file is asked for all the same."""

from __future__ import annotations

import hashlib
import json

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.project.models import (
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)
from django.contrib.auth.models import User

from provisioner.coldfront.asking import outbox, sending
from provisioner.coldfront.models import Request
from provisioner.spool.submission import LIMIT
from tests.coldfront.site import Site

HPC = "University HPC"
MANY = [f"somebody-with-a-very-long-n-{number:04}" for number in range(1900)]
"""More than 64 KiB of names."""

pytestmark = pytest.mark.database


@pytest.fixture
def crowded(site: Site) -> Allocation:
    """Give an allocation that has very many users, and is about to be approved."""
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    people = User.objects.bulk_create(User(username=name) for name in MANY)
    role = ProjectUserRoleChoice.objects.get(name="User")
    member = ProjectUserStatusChoice.objects.get(name="Active")
    ProjectUser.objects.bulk_create(
        ProjectUser(project=allocation.project, user=one, role=role, status=member)
        for one in people
    )
    active = AllocationUserStatusChoice.objects.get(name="Active")
    AllocationUser.objects.bulk_create(
        AllocationUser(allocation=allocation, user=one, status=active) for one in people
    )
    return allocation


def asked(site: Site) -> Request:
    """Write what is asked for the allocation; its people are the timer's to write."""
    row = site.rows(action="allocation.provision")[-1]
    sending.write(row)
    row.refresh_from_db()
    return row


def last_list(site: Site) -> list[str]:
    """Read the list that the last request names, which is as the request says."""
    named = site.last("allocation.provision")["allocation"]["users_file"]
    body = (site.staging / named["file"]).read_bytes()
    assert (len(body), hashlib.sha256(body).hexdigest()) == (named["size"], named["sha256"])
    users: list[str] = body.decode().split()
    return users


def test_the_users_of_a_large_allocation_are_in_a_file_beside_its_request(
    site: Site, crowded: Allocation
) -> None:
    site.decide(crowded, "approve")
    row = asked(site)
    assert (row.state, row.problems) == ("written", [])
    assert set(MANY) < set(last_list(site))
    assert all(path.stat().st_size <= LIMIT for path in site.staging.glob("*.json"))
    assert "users" not in site.last("allocation.provision")["allocation"]


def test_who_leaves_it_is_out_of_the_next_list(site: Site, crowded: Allocation) -> None:
    site.decide(crowded, "approve")
    asked(site)
    site.clear()
    removed = AllocationUserStatusChoice.objects.get(name="Removed")
    AllocationUser.objects.filter(user__username=MANY[7]).update(status=removed)
    outbox.allocation(crowded.pk, "somebody left")
    asked(site)
    assert MANY[7] not in last_list(site)
    assert MANY[8] in last_list(site)


def test_whom_the_service_leaves_out_of_a_list_is_told_by_name(
    site: Site, crowded: Allocation
) -> None:
    site.decide(crowded, "approve")
    row = asked(site)
    place = json.loads(row.body)["allocation"]["users"].index(MANY[5])
    problem = {"key": f"allocation.users.{place}", "message": f"{MANY[5]} is left out"}
    site.answer(row, "done", problems=[problem])
    site.sync()
    assert [step.user for step in row.steps.all()] == [MANY[5]]
