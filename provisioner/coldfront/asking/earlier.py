"""Earlier rows of the outbox, by their subject.

Promises: the number of queries grows by one round for each 500 subjects. Leaves out: writing rows
(`outbox`), and what the service answered (`stands`).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q
from django.db.models.functions import Lower
from django.utils import timezone

from provisioner.coldfront.asking.wanted import Wanted, without_leavers
from provisioner.coldfront.models import INCOMPLETE, NEW, RETRYABLE, UNHEARD, Request, Step

_CHUNK = 500


def last(keys: Iterable[str]) -> dict[str, Request]:
    """Return the newest row of each key, by key; rows without a digest do not count."""
    return _newest(keys, Request.objects.exclude(digest=""))


def last_named(keys: Iterable[str]) -> dict[str, Request]:
    """Return the newest row of each key that says an action."""
    return _newest(keys, Request.objects.exclude(action=""))


def last_moved(keys: Iterable[str]) -> dict[str, Request]:
    """Return the newest row of each key of access that closed, or opened or may have opened.

    A closing counts when it is done; a reopening as soon as the service may have begun it, also if
    it failed since, as one of its steps may have been done.
    """
    steps = Step.objects.filter(request=OuterRef("pk"), state__in=("done", "failed"))
    never = Q(state__in=(NEW, INCOMPLETE, "refused", UNHEARD)) | (
        Q(state__in=("cancelled", "superseded")) & ~Exists(steps)
    )
    opened = Q(action="allocation.resume") & ~never
    return _newest(keys, Request.objects.filter(opened | Q(state="done")))


def last_asked(keys: Iterable[str], action: str) -> dict[str, Request]:
    """Return the newest request with this action of each key, by key; other rows do not count."""
    return _newest(keys, Request.objects.filter(action=action).exclude(body=""))


def last_taken(keys: Iterable[str], action: str) -> dict[str, Request]:
    """Return the newest request of each key that, so far, was neither refused nor cancelled."""
    rows = Request.objects.filter(action=action).exclude(body="")
    return _newest(keys, rows.exclude(state__in=("refused", "cancelled", UNHEARD)))


def last_done(keys: Iterable[str], action: str) -> dict[str, Request]:
    """Return the newest request of each key that is done, with the service's answer."""
    rows = Request.objects.filter(action=action, state="done").exclude(body="")
    return _newest(keys, rows, answers=True)


def with_removals(part: str, wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
    """Return `wanted`, with a document that only removes users where the full one is impossible.

    wanted: by key; part: `allocation` or `project`. Such a document repeats the last request that
    the service accepted, without the users who left.
    """
    unsaid = [key for key, want in wanted.items() if want.document is None]
    amended = dict(wanted)
    for key, row in last_taken(unsaid, f"{part}.provision").items():
        less = without_leavers(json.loads(row.body), wanted[key])
        amended[key] = replace(less, repeated=less.repeated and row.state not in RETRYABLE)
    return amended


def _newest(keys: Iterable[str], rows: Any, *, answers: bool = False) -> dict[str, Request]:
    newest_rows: dict[str, Request] = {}
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), _CHUNK):
        some = rows.filter(key__in=ordered[start : start + _CHUNK])
        newest = some.order_by().values("key").annotate(newest=Max("number"))
        numbers = [row["newest"] for row in newest]
        chosen = Request.objects.filter(number__in=numbers)
        chosen = chosen if answers else chosen.defer("answer")
        newest_rows |= {row.key: row for row in chosen}
    return newest_rows


def codes(projects: Collection[int]) -> dict[int, str]:
    """Return the code of each project in its last request; a project keeps that code."""
    code_of: dict[int, str] = {}
    ordered = sorted(projects)
    for start in range(0, len(ordered), _CHUNK):
        some = _coded().filter(project__in=ordered[start : start + _CHUNK])
        newest = some.order_by().values("project").annotate(newest=Max("number"))
        chosen = Request.objects.filter(number__in=[row["newest"] for row in newest])
        code_of |= dict(chosen.values_list("project", "code"))
    return code_of


def coded(folded: Collection[str]) -> set[int]:
    """Return the projects that have a request with one of these codes. folded: in lower case."""
    rows = _coded().annotate(folded=Lower("code"))
    projects: set[int] = set()
    ordered = sorted(folded)
    for start in range(0, len(ordered), _CHUNK):
        some = rows.filter(folded__in=ordered[start : start + _CHUNK])
        projects.update(some.order_by().values_list("project", flat=True).distinct())
    return projects


def _coded() -> Any:
    rows = Request.objects.exclude(code="").exclude(project=None)
    return rows.exclude(state__in=("refused", "cancelled"))


def people() -> set[str]:
    """Return the names of all users who ever had a request of their own."""
    rows = Request.objects.filter(action="user.provision").exclude(body="")
    return set(rows.order_by().values_list("user", flat=True).distinct())


def ever(key: str, action: str) -> bool:
    """Return True if a request with this key and action exists."""
    exists: bool = Request.objects.filter(key=key, action=action).exclude(body="").exists()
    return exists


def allocations_of(project: int) -> Sequence[int]:
    """Return the allocations of a project that ever had a request."""
    rows = Request.objects.filter(project=project, action="allocation.provision")
    return list(rows.order_by("allocation").values_list("allocation", flat=True).distinct())


# Notes: rows that say that something changed, until there is a request for it.

LATE = datetime.timedelta(minutes=1)
"""The age from which a note has probably been left by a process that was killed."""

_READ = datetime.timedelta(hours=1)
"""The same of a manifest's row, which is no request before ColdFront has read everything."""


@dataclass(frozen=True, slots=True)
class Late:
    """What late notes say of one thing that one person changed.

    allocation, project: the thing's key; both are None for a row that a killed manifest left.
    """

    allocation: int | None
    project: int | None
    event: str
    by: str
    numbers: tuple[int, ...]


def late() -> list[Late]:
    """Return the notes older than a minute: of a killed process, or of many changes of one thing.

    The row of a manifest counts after an hour. A thing that two people changed is there twice,
    because each request names one of them.
    """
    now = timezone.now()
    manifests = Q(allocation=None, project=None)
    old = Q(created__lt=now - LATE) & ~manifests | Q(created__lt=now - _READ)
    rows = Request.objects.filter(old, state=NEW, body="")
    by_thing: dict[tuple[str, str], list[Request]] = {}
    for row in rows:
        by_thing.setdefault((row.key, row.by), []).append(row)
    return [
        Late(
            allocation=some[0].allocation,
            project=some[0].project,
            event=", ".join(dict.fromkeys(row.event for row in some)),
            by=some[0].by,
            numbers=tuple(row.number for row in some),
        )
        for some in by_thing.values()
    ]
