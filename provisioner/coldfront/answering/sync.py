"""Updates ColdFront from the receipts.

Promises: nothing that a person removed in ColdFront comes back; a status changes only if it is
still the one that was read; two runs at the same time give the same result as one. Leaves out: what
a receipt means (`answers`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coldfront.core.allocation.models import (
    Allocation,
    AllocationStatusChoice,
    AllocationUser,
    AllocationUserStatusChoice,
)
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from provisioner.coldfront.answering import answers, news, numbers, stands
from provisioner.coldfront.asking import manifest, mapping, options, outbox, snapshots
from provisioner.coldfront.models import OPEN, RETRYABLE, UNHEARD, Made, Request, Standing, Step
from provisioner.outcome.receipts import safe

log = logging.getLogger(__name__)

_IN_FORCE = 0
_ENDED = 1
"""Whether the centre that opted in has opted out since, in the mark's `row`."""

_RENEWED = 500
"""The most done requests that one sync reads again; the next one reads the others."""

_NOT_FOLLOWED = ("refused", "superseded", "cancelled")
"""Final states of a manifest that the service did not compare."""

_WITH_USERS = ("allocation.provision", "project.provision")
"""Actions whose requests contain a list of users."""


@dataclass(frozen=True, slots=True)
class Synced:
    """How many rows a sync changed.

    answered: requests with a new answer; stands: users with a new standing; made_pending,
    made_active: users whose status in ColdFront changed.
    """

    answered: int = 0
    stands: int = 0
    made_pending: int = 0
    made_active: int = 0


def sync() -> Synced:
    """Read the receipts, and record the status of every allocation user; return the counts.

    Raises OSError when the receipts are not readable.
    """
    try:
        numbers.look(options.receipts())
        answered = _read_receipts(options.receipts())
    except OSError as error:
        news.are_unreadable(str(error))
        raise
    news.are_read()
    stands = _record_stands()
    made = _pending() if options.pending() else (0, _let_in())
    return Synced(answered, stands, *made)


# Receipts.


def _read_receipts(directory: Path) -> int:
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    unanswered = Request.objects.filter(
        Q(state__in=OPEN) | Q(state__in=RETRYABLE) & ~Exists(newer)
    ).order_by("number")
    if unanswered.exists() and not directory.is_dir():
        # The service makes the directory when it accepts the first request of this user.
        log.info("provisioner: no receipts: %s does not exist", directory)
        return 0
    rows = [*unanswered, *_told_anew(directory)]
    return sum(_read_receipt(directory, row) for row in rows)


def _told_anew(directory: Path) -> list[Request]:
    """Return done requests whose receipts are newer than their answers, as with a newer use."""
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    done = Request.objects.filter(~Exists(newer), action="allocation.provision", state="done")
    numbers = []
    for number, answered in done.exclude(answered=None).values_list("number", "answered"):
        with suppress(FileNotFoundError):
            if _receipt(directory, number).stat().st_mtime > answered.timestamp():
                numbers.append(number)
    return list(Request.objects.filter(pk__in=numbers[:_RENEWED]))


def _receipt(directory: Path, number: int) -> Path:
    return directory / f"{safe(outbox.request_id(number))}.yaml"


def _read_receipt(directory: Path, row: Request) -> bool:
    try:
        receipt = _receipt(directory, row.number).read_bytes()
    except FileNotFoundError:
        return False
    answer = answers.read(receipt)
    if answer is None:
        return False
    wrong = numbers.why_not_its(row, answer)
    if wrong:
        return _is_unheard(row, wrong)
    if answer.whole == row.answer:
        Request.objects.filter(pk=row.pk, state="done").update(answered=timezone.now())
        return False
    with transaction.atomic():
        # Another sync may work on the same row. A missing row belonged to a manifest that the
        # service did not carry out.
        if not Request.objects.select_for_update().filter(pk=row.pk):
            return False
        row.steps.all().delete()
        Step.objects.bulk_create(
            Step(
                request=row,
                name=part.name,
                user=part.user,
                handler=part.handler,
                state=part.state,
                kind=part.kind[:40],
                message=part.message,
                advice=part.advice,
                needs=list(part.needs),
            )
            for part in (*answer.parts, *_left_out(row, answer))
        )
        Request.objects.filter(pk=row.pk).update(
            state=answer.state,
            answer=answer.whole,
            answered=timezone.now(),
            error="; ".join(answer.problems),
            advice="; ".join(answer.advice),
        )
        if row.action == "reconcile" and answer.state in _NOT_FOLLOWED:
            manifest.forget_unfollowed(row.number)
        elif row.action == "reconcile" and answer.state in ("done", "failed"):
            manifest.followed(row.number, failed=answer.state == "failed")
        if row.action in _WITH_USERS and answer.state == "refused":
            outbox.drop_leavers(Request.objects.get(pk=row.pk))
    return True


_ASK_AGAIN = (
    "the next reconcile asks again under a new number. If that does not help, run:"
    " coldfront provisioner_check"
)


def _is_unheard(row: Request, why: str) -> bool:
    """Note that the service has not carried out a row, and answers for something else."""
    if (row.state, row.error) == (UNHEARD, why):
        return False
    log.warning("provisioner: %s: %s", outbox.request_id(row.number), why)
    with transaction.atomic():
        if not Request.objects.select_for_update().filter(pk=row.pk):
            return False
        row.steps.all().delete()
        Request.objects.filter(pk=row.pk).update(
            state=UNHEARD, answer=None, answered=timezone.now(), error=why, advice=_ASK_AGAIN
        )
        if row.action == "reconcile":
            manifest.forget_unfollowed(row.number)
    return True


def _left_out(row: Request, answer: answers.Answer) -> Iterator[answers.Part]:
    """Yield, for each user whom the service left out of a request, a part that says why."""
    if not answer.left_out:
        return
    users = json.loads(row.body)[row.action.partition(".")[0]]["users"]
    for place, part in answer.left_out.items():
        if place < len(users):
            yield replace(part, user=str(users[place]))


# The status of users.


def _record_stands() -> int:
    """Record each user's standing from their last request; return how many standings changed."""
    wanted = stands.read(stands.everywhere())
    now, changed = timezone.now(), 0
    known = {(row.allocation, row.user): row for row in Standing.objects.all()}
    fresh: list[Standing] = []
    altered: list[Standing] = []
    for (allocation, user), user_stand in wanted.items():
        number, stand = user_stand.number, user_stand.stand
        row = known.get((allocation, user))
        was = (row.state, row.message, row.advice, row.number) if row is not None else None
        if was == (stand.state, stand.message, stand.advice, number):
            continue
        changed += 1
        standing = row or Standing(allocation=allocation, user=user)
        standing.state, standing.message, standing.advice, standing.number = (
            stand.state, stand.message, stand.advice, number,
        )  # fmt: skip
        if stand.state == answers.READY and standing.ready is None:
            standing.ready = now
        (altered if row is not None else fresh).append(standing)
    allocations = {allocation for allocation, _ in wanted}
    gone = [row.pk for at, row in known.items() if at[0] in allocations and at not in wanted]
    for start in range(0, len(gone), 500):
        Standing.objects.filter(pk__in=gone[start : start + 500]).delete()
    Standing.objects.bulk_create(fresh, batch_size=500, ignore_conflicts=True)
    fields = ["state", "message", "advice", "number", "ready"]
    Standing.objects.bulk_update(altered, fields, batch_size=100)
    return changed + len(gone)


# The status that ColdFront shows, where a centre opts in.


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
