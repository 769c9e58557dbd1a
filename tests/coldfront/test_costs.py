"""What the app adds to a page of ColdFront's, in queries, and that nothing of it is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from coldfront.core.allocation import signals as of_allocations
from coldfront.core.allocation.models import (
    Allocation,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.project import signals as of_projects
from coldfront.core.project.models import (
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext

from provisioner.coldfront.asking import outbox
from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database

SIGNALS = [
    *(one for one in vars(of_allocations).values() if isinstance(one, Signal)),
    *(one for one in vars(of_projects).values() if isinstance(one, Signal)),
    *(post_save, post_delete, request_started, request_finished),
]


@contextlib.contextmanager
def without_the_app() -> Iterator[None]:
    """Let ColdFront be as it is where nobody listens."""
    before = [(signal, signal.receivers) for signal in SIGNALS]
    for signal, receivers in before:
        signal.receivers = [
            one for one in receivers if not str(one[0][0]).startswith("provisioner.coldfront")
        ]
        signal.sender_receivers_cache.clear()
    try:
        yield
    finally:
        for signal, receivers in before:
            signal.receivers = receivers
            signal.sender_receivers_cache.clear()


@pytest.fixture
def new(site: Site) -> Allocation:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    return allocation


def fill(allocation: Allocation, count: int) -> None:
    """Let so many people be in an allocation."""
    there = AllocationUser.objects.filter(allocation=allocation).count()
    made = User.objects.bulk_create(
        User(username=f"u{number:04}", last_name="U") for number in range(there, count)
    )
    status = AllocationUserStatusChoice.objects.get(name="Active")
    AllocationUser.objects.bulk_create(
        AllocationUser(allocation=allocation, user=user, status=status) for user in made
    )
    role = ProjectUserRoleChoice.objects.get(name="User")
    of = ProjectUserStatusChoice.objects.get(name="Active")
    ProjectUser.objects.bulk_create(
        ProjectUser(project=allocation.project, user=user, role=role, status=of) for user in made
    )


def queries(site: Site, allocation: Allocation, status: str) -> int:
    """Count the queries of a decision."""
    with CaptureQueriesContext(connection) as captured:
        if status == "Active":
            site.decide(allocation, "approve")
        else:
            site.decide(allocation, status=status)
    return len(captured)


def test_a_decision_costs_at_most_twice_and_hardly_more_for_more_users(
    site: Site, new: Allocation
) -> None:
    own: dict[str, list[int]] = {"Active": [], "Revoked": []}
    for count in (20, 100, 400):
        fill(new, count)
        for status, costs in own.items():
            site.quietly(new, "New" if status == "Active" else "Active")
            with without_the_app():
                off = queries(site, new, status)
            site.quietly(new, "New" if status == "Active" else "Active")
            on = queries(site, new, status)
            assert on <= 2 * off
            costs.append(on - off)
        site.sync()
        assert len(site.last("allocation.provision")["allocation"]["users"]) == count
    for twenty, hundred, most in own.values():
        # A page writes fifty files at most; rows are made as many at once as one statement takes.
        assert hundred - twenty <= (100 - 20) / 2
        assert most - hundred <= (400 - 100) / 20


def test_who_is_let_in_while_a_page_is_served_is_said_once(site: Site, new: Allocation) -> None:
    fill(new, 30)
    site.decide(new, "approve")
    [row] = site.rows(action="allocation.provision")
    assert "allocation_activate, allocation_activate_user" in row.event
    assert Request.objects.filter(state="new", body="").count() == 0


def test_a_change_is_noted_in_the_pages_own_transaction_for_a_process_that_is_killed(
    site: Site, new: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "allocation", die)
        with pytest.raises(Killed):
            site.decide(new, "approve")
    assert site.files() == []
    Request.objects.filter(state="new").update(created="2026-01-01T00:00:00Z")
    outbox.flush()
    [asked] = [one for one in site.files() if one["action"] == "allocation.provision"]
    assert asked["on_behalf_of"] == "admin"


def test_what_many_signals_of_one_transaction_tell_is_said_once(
    site: Site, new: Allocation
) -> None:
    site.quietly(new, "Active")
    fill(new, 30)
    rows = list(AllocationUser.objects.filter(allocation=new))
    with CaptureQueriesContext(connection) as one, transaction.atomic():
        of_allocations.allocation_activate_user.send(sender=None, allocation_user_pk=rows[0].pk)
    Request.objects.all().delete()
    site.clear()
    with CaptureQueriesContext(connection) as many, transaction.atomic():
        for row in rows:
            of_allocations.allocation_activate_user.send(sender=None, allocation_user_pk=row.pk)
    assert len(many) <= len(one) + len(rows)
    assert len(site.rows(action="allocation.provision")) == 1


def test_what_a_savepoint_takes_back_keeps_nothing_else_back(site: Site, new: Allocation) -> None:
    site.quietly(new, "Active")
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            of_allocations.allocation_activate.send(sender=None, allocation_pk=new.pk)
            raise ZeroDivisionError
        of_allocations.allocation_activate.send(sender=None, allocation_pk=new.pk)
    assert len(site.rows(action="allocation.provision")) == 1
