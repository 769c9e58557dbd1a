"""What staff should know where they approve allocations: what those lack, before and after.

Promises: a few queries, for any number of allocations. Leaves out: what is missing (`missing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from coldfront.core.allocation.models import Allocation
from django.db.models import Exists, OuterRef

from provisioner.coldfront import snapshots
from provisioner.coldfront.asking import mapping
from provisioner.coldfront.models import INCOMPLETE, Request
from provisioner.coldfront.pages import access, missing

MOST = 10
"""The most things that each part of the notice lists."""


@dataclass(frozen=True, slots=True)
class Group:
    """Allocations that lack something. more: the number of things that were left out."""

    head: str
    missing: tuple[missing.Missing, ...]
    more: int = 0


def read(user: Any, listed: Iterable[Any]) -> tuple[Group, ...] | None:
    """Return what allocations lack; None if this reader may not see it. listed: the page's own."""
    if not access.sees(user):
        return None
    asked = missing.of_allocations([row.pk for row in listed]).texts
    waiting = {pk: problems for pk, problems in _waiting().items() if pk not in asked}
    names = snapshots.resource_names([*asked, *waiting])
    groups = (
        _group("Before you approve:", asked, names, user),
        _group("Active, but nothing new is set up until this is filled in:", waiting, names, user),
    )
    return tuple(group for group in groups if group.missing)


def _waiting() -> Mapping[int, tuple[str, ...]]:
    """Return the problems of active allocations whose last request could not be made."""
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    rows = Request.objects.filter(~Exists(newer.exclude(digest="", action="")), state=INCOMPLETE)
    problems = dict(rows.exclude(allocation=None).values_list("allocation", "problems"))
    active = Allocation.objects.filter(status__name__in=mapping.ENTITLED, pk__in=problems)
    newest = active.order_by("-modified", "-pk").values_list("pk", flat=True)
    return {pk: tuple(map(str, problems[pk])) for pk in newest}


def _group(
    head: str, texts: Mapping[int, tuple[str, ...]], names: Mapping[int, str], user: Any
) -> Group:
    found = missing.linked(texts, names, user)
    return Group(head, found[:MOST], max(0, len(found) - MOST))
