"""What a person changed in ColdFront, and when.

ColdFront keeps a history of most of its tables. Of those without one, such as the names of statuses
and people's accounts, the log of Django's admin site tells, which is where pages change them.
Promises: each table that requests are made from counts; the number of queries is constant. Leaves
out: changes without a person, as of scripts; which request says what was changed (`whose`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttribute,
    AllocationAttributeType,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.allocation.models import AttributeType as AllocationAttributeKind
from coldfront.core.project.models import AttributeType as ProjectAttributeKind
from coldfront.core.project.models import (
    Project,
    ProjectAttribute,
    ProjectAttributeType,
    ProjectStatusChoice,
    ProjectUser,
    ProjectUserRoleChoice,
    ProjectUserStatusChoice,
)
from coldfront.core.resource.models import AttributeType as ResourceAttributeKind
from coldfront.core.resource.models import (
    Resource,
    ResourceAttribute,
    ResourceAttributeType,
    ResourceType,
)
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, F, Max, OuterRef

THINGS: tuple[tuple[Any, str, str], ...] = (
    (Allocation, "id", "allocation"),
    (AllocationAttribute, "allocation_id", "allocation"),
    (AllocationUser, "allocation_id", "allocation"),
    (AllocationUser, "user_id", "user"),
    (Project, "id", "project"),
    (ProjectAttribute, "project_id", "project"),
    (ProjectUser, "project_id", "project"),
    (ProjectUser, "user_id", "user"),
    (Resource, "id", "resource"),
    (ResourceAttribute, "resource_id", "resource"),
)
"""Tables with a history, the column that says what a row is about, and what that is."""

_TYPES = (AllocationAttributeType, ProjectAttributeType, ResourceAttributeType, ResourceType)
"""Tables with a history that are about every allocation, project or resource."""

_NAMES = (
    AllocationStatusChoice,
    AllocationUserStatusChoice,
    ProjectStatusChoice,
    ProjectUserStatusChoice,
    ProjectUserRoleChoice,
    AllocationAttributeKind,
    ProjectAttributeKind,
    ResourceAttributeKind,
)
"""Tables without a history that are about everything, too."""

RECORDED: tuple[Any, ...] = tuple(dict.fromkeys((*(model for model, _, _ in THINGS), *_TYPES)))
"""Tables with a history."""

LOGGED: tuple[Any, ...] = (*_NAMES, User)
"""Tables without one."""

_ACCOUNTS = 500
"""Accounts in one query, below the number of parameters that SQLite takes in one statement."""

_ADDED = "+"
_REMOVED = "-"


def of_anything(person: str) -> datetime | None:
    """Return when a person last changed anything that a request may say."""
    return _newest([*(_history(model, person) for model in RECORDED), _log(person, LOGGED)])


def of_everything(person: str) -> datetime | None:
    """Return when a person last changed something that may be about any request.

    Types and statuses have names that requests are made by; a resource that is gone, or whose
    attribute is another's now, no longer says whose allocations it was about. What is added is
    about nothing yet.
    """
    moved = ResourceAttribute.history.filter(
        id=OuterRef("id"), history_date__lt=OuterRef("history_date")
    ).exclude(resource_id=OuterRef("resource_id"))
    return _newest(
        [
            *(_history(model, person).exclude(history_type=_ADDED) for model in _TYPES),
            _history(Resource, person).filter(history_type=_REMOVED),
            _history(ResourceAttribute, person).filter(Exists(moved)),
            _log(person, _NAMES).exclude(action_flag=ADDITION),
        ]
    )


def of_things(person: str, model: Any, column: str, wanted: Collection[int]) -> dict[int, datetime]:
    """Return when a person last changed a table's rows about things, by the things' keys."""
    history = _history(model, person).filter(**{f"{column}__in": wanted})
    return dict(history.order_by().values_list(column).annotate(Max("at")))


def of_accounts(person: str) -> dict[int, datetime]:
    """Return when a person last changed accounts, by the accounts' keys."""
    rows = _log(person, [User]).order_by().values_list("object_id").annotate(Max("at"))
    return {int(pk): at for pk, at in rows if pk and pk.isdecimal()}


def memberships(accounts: Collection[int]) -> dict[str, Mapping[int, set[int]]]:
    """Return the accounts in each allocation and project, by `allocation` and `project`.

    accounts: the keys of those that matter.
    """
    listed = sorted(accounts)
    found: dict[str, dict[int, set[int]]] = {"allocation": {}, "project": {}}
    tables = (
        (AllocationUser, "user", "allocation", "allocation"),
        (ProjectUser, "user", "project", "project"),
        (Project, "pi", "pk", "project"),
    )
    for start in range(0, len(listed), _ACCOUNTS):
        some = listed[start : start + _ACCOUNTS]
        for model, who, of, kind in tables:
            for thing, account in model.objects.filter(**{f"{who}__in": some}).values_list(of, who):
                found[kind].setdefault(thing, set()).add(account)
    return dict(found)


def _history(model: Any, person: str) -> Any:
    return model.history.filter(history_user__username=person).annotate(at=F("history_date"))


def _log(person: str, models: Collection[Any]) -> Any:
    kinds = ContentType.objects.get_for_models(*models, for_concrete_models=False)
    entries = LogEntry.objects.filter(user__username=person, content_type__in=kinds.values())
    return entries.annotate(at=F("action_time"))


def _newest(listed: Iterable[Any]) -> datetime | None:
    times = (rows.aggregate(last=Max("at"))["last"] for rows in listed)
    return max((at for at in times if at is not None), default=None)
