"""What was said before: the outbox's rows by what they are about.

Promises: a few queries, however many things are asked after. Leaves out: saying something
(`outbox`), and what was answered (`stands`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Max
from django.db.models.functions import Lower

from provisioner.coldfront.asking.wanted import Wanted, without_leavers
from provisioner.coldfront.models import MENDABLE, Request

_CHUNK = 500


def last(keys: Iterable[str]) -> dict[str, Request]:
    """Find what was said last under each key."""
    return _newest(keys, Request.objects.exclude(digest=""))


def last_asked(keys: Iterable[str], action: str) -> dict[str, Request]:
    """Find what was asked for last under each key, whatever was said of it since."""
    return _newest(keys, Request.objects.filter(action=action).exclude(body=""))


def last_taken(keys: Iterable[str], action: str) -> dict[str, Request]:
    """Find what was asked for last under each key and, as far as is known, taken."""
    rows = Request.objects.filter(action=action).exclude(body="")
    return _newest(keys, rows.exclude(state__in=("refused", "cancelled")))


def carried_out(part: str, wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
    """Have removals carried out where the whole cannot be said, by key.

    part: `allocation` or `project`. What was taken last is said without those who are out.
    """
    unsaid = [key for key, one in wanted.items() if one.document is None]
    found = dict(wanted)
    for key, row in last_taken(unsaid, f"{part}.provision").items():
        less = without_leavers(json.loads(row.body), wanted[key])
        found[key] = replace(less, repeated=less.repeated and row.state not in MENDABLE)
    return found


def _newest(keys: Iterable[str], rows: Any) -> dict[str, Request]:
    found: dict[str, Request] = {}
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), _CHUNK):
        some = rows.filter(key__in=ordered[start : start + _CHUNK])
        newest = some.order_by().values("key").annotate(newest=Max("number"))
        numbers = [one["newest"] for one in newest]
        chosen = Request.objects.filter(number__in=numbers).defer("answer")
        found |= {row.key: row for row in chosen}
    return found


def codes(projects: Collection[int]) -> dict[int, str]:
    """Say under which code each project was asked for last, where it was: it keeps that."""
    found: dict[int, str] = {}
    ordered = sorted(projects)
    for start in range(0, len(ordered), _CHUNK):
        some = _coded().filter(project__in=ordered[start : start + _CHUNK])
        newest = some.order_by().values("project").annotate(newest=Max("number"))
        chosen = Request.objects.filter(number__in=[one["newest"] for one in newest])
        found |= dict(chosen.values_list("project", "code"))
    return found


def coded(folded: Collection[str]) -> set[int]:
    """List the projects that were asked for under some codes. folded: in lower case."""
    rows = _coded().annotate(folded=Lower("code"))
    found: set[int] = set()
    ordered = sorted(folded)
    for start in range(0, len(ordered), _CHUNK):
        some = rows.filter(folded__in=ordered[start : start + _CHUNK])
        found.update(some.order_by().values_list("project", flat=True).distinct())
    return found


def _coded() -> Any:
    rows = Request.objects.exclude(code="").exclude(project=None)
    return rows.exclude(state__in=("refused", "cancelled"))


def people() -> set[str]:
    """Name everybody who was ever asked for."""
    rows = Request.objects.filter(action="user.provision").exclude(body="")
    return set(rows.order_by().values_list("user", flat=True).distinct())


def ever(key: str, action: str) -> bool:
    """Return True if something was ever asked for."""
    found: bool = Request.objects.filter(key=key, action=action).exclude(body="").exists()
    return found


def allocations_of(project: int) -> Sequence[int]:
    """List the allocations of a project that were ever asked for."""
    rows = Request.objects.filter(project=project, action="allocation.provision")
    return list(rows.order_by("allocation").values_list("allocation", flat=True).distinct())
