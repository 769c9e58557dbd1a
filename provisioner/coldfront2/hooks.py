"""Handlers for ColdFront 2's flow and for its rows.

Promises: a change is heard whether a page, the API or an edit form makes it: the flow's callbacks
leave out edits of the status, and saved rows leave out nothing. Leaves out: when a change becomes a
request (`heard`); what no row shows, such as an end date that passes, which
`provisioner_reconcile` finds.
"""

from __future__ import annotations

from typing import Any

from coldfront.ras.choices import AllocationStatusChoices
from coldfront.ras.flows import AllocationStatusFlow
from coldfront.ras.models import Allocation, Project, ProjectUser
from coldfront.slurm.models import SlurmAssociation
from coldfront.storage.models import StorageQuota
from coldfront.users.models import User
from django.db.models import Q
from django.db.models.signals import m2m_changed, post_delete, post_save

from provisioner.coldfront.asking import heard
from provisioner.coldfront2.mapping import ACTIVE, APPROVED, RENEW


def connect() -> None:
    """Connect every handler; called once, when ColdFront starts."""
    heard.connect()
    for state in AllocationStatusChoices.values():
        AllocationStatusFlow.register_target_callback(state, _reached)
    for model, handler in (
        (Allocation, _allocation),
        (SlurmAssociation, _part),
        (StorageQuota, _part),
        (Project, _project),
        (ProjectUser, _member),
    ):
        heard.listen(post_save, f"{model.__name__} saved", handler, model)
        heard.listen(post_delete, f"{model.__name__} deleted", handler, model)
    heard.listen(post_save, "User saved", _user, User)
    for listed in (SlurmAssociation.qos_add, SlurmAssociation.qos_remove):
        event = f"{listed.through.__name__} changed"
        heard.listen(m2m_changed, event, _qos, listed.through)


def _reached(allocation: Any, *, source: str, target: str) -> None:
    """Hear that the flow has moved an allocation; ColdFront catches and reports what is raised."""
    heard.change("allocation", allocation.pk, f"allocation {target}")


def _allocation(event: str, instance: Any, **_: Any) -> None:
    heard.change("allocation", instance.pk, event)


def _part(event: str, instance: Any, **_: Any) -> None:
    heard.change("allocation", instance.allocation_id, event)


def _qos(event: str, instance: Any, action: str, reverse: bool, **_: Any) -> None:
    if action.startswith("post_") and not reverse:
        heard.change("allocation", instance.allocation_id, event)


def _project(event: str, instance: Any, **_: Any) -> None:
    _with_allocations(event, instance.pk)


def _member(event: str, instance: Any, **_: Any) -> None:
    _with_allocations(event, instance.project_id)


def _user(event: str, instance: Any, created: bool, update_fields: Any = None, **_: Any) -> None:
    """Hear that a user was edited; a login saves the user as well, and changes nothing."""
    if created or (update_fields and set(update_fields) <= {"last_login"}):
        return
    rows = Project.objects.filter(Q(owner=instance) | Q(users__user=instance)).distinct()
    for pk in rows.values_list("pk", flat=True):
        _with_allocations(event, pk)


def _with_allocations(event: str, project: int) -> None:
    """Hear that a project has changed, and with it the users of its allocations."""
    heard.change("project", project, event)
    rows = Allocation.objects.filter(project=project, status__in=(APPROVED, ACTIVE, RENEW))
    for pk in rows.values_list("pk", flat=True):
        heard.change("allocation", pk, event)
