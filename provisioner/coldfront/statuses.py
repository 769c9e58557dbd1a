"""The status of allocation users that ColdFront 1.1 shows, where a centre opts in to `Pending`.

Promises: nothing that a person removed in ColdFront comes back; a status changes only if it is
still the one that was read; two runs at the same time give the same result as one. Leaves out:
whether a user is ready (`answering.sync`).
"""

from __future__ import annotations

from typing import Any

from coldfront.core.allocation.models import (
    Allocation,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from django.db import transaction
from django.utils import timezone

from provisioner.coldfront import snapshots
from provisioner.coldfront.answering import answers
from provisioner.coldfront.asking import mapping, options, outbox
from provisioner.coldfront.models import Made, Standing

_IN_FORCE = 0
_ENDED = 1
"""Whether the centre that opted in has opted out since, in the mark's `row`."""


def follow() -> tuple[int, int]:
    """Let the users' statuses follow the answers; return how many became Pending, and Active."""
    return _pending() if options.pending() else (0, _let_in())


def _pending() -> tuple[int, int]:
    """Show users as Pending until they are ready; return how many became Pending, and Active.

    Users who are Active when a centre turns this on count as ready.
    """
    status = _pending_status()
    marks = Made.objects.filter(model=snapshots.BASELINE)
    if not marks.filter(row=_IN_FORCE).exists():
        _take_as_served()
        if not marks.update(row=_IN_FORCE):
            Made.objects.create(model=snapshots.BASELINE, row=_IN_FORCE)
        return 0, 0
    active = AllocationUserStatusChoice.objects.get(name="Active")
    standings = {(row.allocation, row.user): row for row in Standing.objects.all()}
    counts = [0, 0]
    rows = AllocationUser.objects.filter(
        status__in=(status, active), allocation__status__name__in=mapping.ENTITLED
    ).select_related("status", "user")
    for row in rows.iterator():
        standing = standings.get((row.allocation_id, row.user.username))
        if standing is None:
            continue
        if row.status_id == active.pk and standing.ready is None:
            counts[0] += _move(row, active, status, outbox.request_id(standing.number))
        elif row.status_id == status.pk and standing.ready is not None:
            counts[1] += _move(row, status, active, outbox.request_id(standing.number))
    return counts[0], counts[1]


def _let_in() -> int:
    """Make Pending users Active after a centre opted out; return how many there were."""
    if not snapshots.were_pending():
        return 0
    Made.objects.filter(model=snapshots.BASELINE).update(row=_ENDED)
    active = AllocationUserStatusChoice.objects.get(name="Active")
    rows = AllocationUser.objects.filter(
        status__name=snapshots.PENDING, allocation__status__name__in=mapping.ENTITLED
    ).select_related("status")
    return sum(_move(row, row.status, active, "PROVISIONER_PENDING is off") for row in list(rows))


def _pending_status() -> Any:
    status, made = AllocationUserStatusChoice.objects.get_or_create(name=snapshots.PENDING)
    if made:
        Made.objects.create(model="allocation.AllocationUserStatusChoice", row=status.pk)
    return status


def _take_as_served() -> None:
    rows = AllocationUser.objects.filter(
        status__name="Active", allocation__status__name__in=mapping.ENTITLED
    )
    now = timezone.now()
    Standing.objects.filter(ready=None).update(ready=now)
    Standing.objects.bulk_create(
        (
            Standing(allocation=pk, user=name, state=answers.READY, number=0, ready=now)
            for pk, name in rows.values_list("allocation_id", "user__username")
        ),
        ignore_conflicts=True,
        batch_size=500,
    )


def _move(row: Any, old: Any, new: Any, why: str) -> int:
    """Change a user's status, unless it or the allocation's has changed meanwhile.

    The allocation must still be in a status that entitles its users. Return 1 if the user's status
    was changed, otherwise 0.
    """
    entitled = AllocationStatusChoice.objects.filter(name__in=mapping.ENTITLED)
    kinds = list(entitled.values_list("pk", flat=True))
    with transaction.atomic():
        # When another process has just changed a row, PostgreSQL checks the row's own columns
        # again, but not joined ones. So each row has its own query, with the allocation locked.
        of = Allocation.objects.select_for_update().filter(pk=row.allocation_id, status__in=kinds)
        return _change(row, old, new, why) if of else 0


def _change(row: Any, old: Any, new: Any, why: str) -> int:
    """Change a user's status unless it has changed meanwhile; return 1 if it was changed, or 0."""
    with transaction.atomic():
        moved = AllocationUser.objects.filter(pk=row.pk, status=old).update(status=new)
        if moved:
            # save() writes ColdFront's history; update() does not.
            row.refresh_from_db()
            row._change_reason = f"provisioner: {why}"
            row.save()
    return int(moved)


def unpend() -> int:
    """Make every Pending user Active, before the app is removed; return how many there were."""
    if not snapshots.were_pending():
        return 0
    active = AllocationUserStatusChoice.objects.get(name="Active")
    rows = AllocationUser.objects.filter(status__name=snapshots.PENDING).select_related("status")
    return sum(_change(row, row.status, active, "uninstalled") for row in list(rows))
