"""Updates the outbox from the receipts.

Promises: two runs at the same time give the same result as one. Leaves out: what a receipt means
(`answers`), and the status that ColdFront itself shows (`Portal.follow`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from provisioner.coldfront.answering import answers, news, numbers, stands
from provisioner.coldfront.asking import manifest, options, outbox
from provisioner.coldfront.asking.portal import portal
from provisioner.coldfront.models import OPEN, RETRYABLE, UNHEARD, Request, Standing, Step
from provisioner.outcome.receipts import safe

log = logging.getLogger(__name__)

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
    made_active: as `Portal.follow` returns them.
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
    return Synced(answered, stands, *portal().follow())


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
