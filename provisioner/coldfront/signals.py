"""Handlers for ColdFront's signals.

Promises: none depends on a signal's sender. Leaves out: when a change becomes a request (`heard`);
changes for which ColdFront sends no signal. Django's signals for saved rows show some of those, and
`provisioner_reconcile` finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coldfront.core.allocation import signals as of_allocations
from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttribute,
    AllocationUser,
)
from coldfront.core.project import signals as of_projects
from coldfront.core.project.models import ProjectUser
from django.db.models.signals import post_delete, post_save

from provisioner.coldfront.asking import heard


def connect() -> None:
    """Connect every handler; a second call connects nothing twice."""
    heard.connect()
    for name in (
        "allocation_new",
        "allocation_activate",
        "allocation_disable",
        "allocation_attribute_changed",
        "allocation_change_created",
        "allocation_change_approved",
    ):
        heard.listen(getattr(of_allocations, name), name, _of_allocation)
    for name in ("allocation_activate_user", "allocation_remove_user"):
        heard.listen(getattr(of_allocations, name), name, _of_allocation_user)
    for name in ("project_new", "project_update", "project_archive"):
        heard.listen(getattr(of_projects, name), name, _of_project)
    for name in ("project_activate_user", "project_remove_user"):
        heard.listen(getattr(of_projects, name), name, _of_project_user)
    # Changes that the views save without a signal: expiry, archiving, an admin's edit, a declined
    # EULA, a role in a project.
    for model, handler in ((Allocation, _saved), (AllocationAttribute, _part_saved)):
        heard.listen(post_save, f"{model.__name__} saved", handler, model)
        heard.listen(post_delete, f"{model.__name__} deleted", handler, model)
    heard.listen(post_save, "AllocationUser saved", _part_saved, AllocationUser)
    heard.listen(post_delete, "AllocationUser deleted", _part_saved, AllocationUser)
    heard.listen(post_save, "ProjectUser saved", _project_user_saved, ProjectUser)
    heard.listen(post_delete, "ProjectUser deleted", _project_user_deleted, ProjectUser)


def _of_allocation(event: str, allocation_pk: int, **_: Any) -> None:
    heard.change("allocation", allocation_pk, event)


def _of_allocation_user(event: str, allocation_user_pk: int, **_: Any) -> None:
    allocation = heard.owner("allocation", allocation_user_pk, _allocation_of)
    let_in = allocation_user_pk if event == "allocation_activate_user" else None
    heard.change("allocation", allocation, event, let_in=let_in)


def _allocation_of(member: int) -> tuple[int, Iterable[int]]:
    rows = AllocationUser.objects.values_list("allocation_id", flat=True)
    pk = rows.get(pk=member)
    return pk, AllocationUser.objects.filter(allocation=pk).values_list("pk", flat=True)


def _of_project(event: str, project_obj: Any, **_: Any) -> None:
    heard.change("project", project_obj.pk, event)


def _of_project_user(event: str, project_user_pk: int, **_: Any) -> None:
    heard.change("project", heard.owner("project", project_user_pk, _project_of), event)


def _project_of(member: int) -> tuple[int, Iterable[int]]:
    pk = ProjectUser.objects.values_list("project_id", flat=True).get(pk=member)
    return pk, ProjectUser.objects.filter(project=pk).values_list("pk", flat=True)


def _saved(event: str, instance: Any, **_: Any) -> None:
    heard.change("allocation", instance.pk, event)


def _project_user_saved(event: str, instance: Any, created: bool, **_: Any) -> None:
    """Hear that somebody's role or notifications changed; who is new has a signal of their own."""
    if not created:
        heard.change("project", instance.project_id, event)


def _project_user_deleted(event: str, instance: Any, **_: Any) -> None:
    heard.change("project", instance.project_id, event)


def _part_saved(event: str, instance: Any, **_: Any) -> None:
    heard.change("allocation", instance.allocation_id, event)
