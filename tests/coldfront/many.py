"""Many users in one allocation, and ColdFront without the app: what costs are measured with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from coldfront.core.allocation import signals as of_allocations
from coldfront.core.allocation.models import AllocationUser, AllocationUserStatusChoice
from coldfront.core.project import signals as of_projects
from coldfront.core.project.models import (
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db.models.signals import post_delete, post_save
from django.dispatch import Signal

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


def fill(allocation: Any, count: int) -> None:
    """Let so many people be in an allocation and in its project, unheard."""
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


def let_in(allocation: Any, count: int) -> None:
    """Say of so many members that they are let in, as a script does."""
    for row in AllocationUser.objects.filter(allocation=allocation)[:count]:
        of_allocations.allocation_activate_user.send(sender=None, allocation_user_pk=row.pk)
