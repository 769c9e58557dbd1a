"""Updates the outbox from the receipts.

Promises: two runs at the same time give the same result as one. Leaves out: what a receipt means
(`answers`), and the status that ColdFront itself shows (`Portal.follow`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from provisioner.coldfront.answering import answers, news, numbers, stands
from provisioner.coldfront.asking import heard, manifest, options, outbox
from provisioner.coldfront.asking.portal import portal
from provisioner.coldfront.models import OPEN, RETRYABLE, UNHEARD, Request, Standing, Step
from provisioner.outcome.receipts import safe

log = logging.getLogger(__name__)

_RENEWED = 500
"""The most done requests that one sync reads again; the next one reads the others."""

_PORTION = 100
"""Rows in one transaction: a commit costs more than a row."""

_STEPS = 1000
"""Steps in one statement, which a server takes only up to some megabytes."""

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
    with heard.together():
        moved = portal().follow()
    return Synced(answered, stands, *moved)


# Receipts.


def _read_receipts(directory: Path) -> int:
    unanswered = Request.objects.filter(
        Q(state__in=OPEN) | Q(state__in=RETRYABLE) & ~Exists(_newer())
    ).order_by("number")
    if unanswered.exists() and not directory.is_dir():
        # The service makes the directory when it accepts the first request of this user.
        log.info("provisioner: no receipts: %s does not exist", directory)
        return 0
    told = _told(directory, [*unanswered, *_told_anew(directory)])
    return sum(_record(some) for some in _portions(told))


def _told_anew(directory: Path) -> list[Request]:
    """Return done requests whose receipts were written again since, as with a newer use.

    Only whether the times are the same counts: no clock of this host's tells which is later.
    """
    done = Request.objects.filter(~Exists(_newer()), action="allocation.provision", state="done")
    numbers = []
    for number, answered in done.exclude(answered=None).values_list("number", "answered"):
        with suppress(FileNotFoundError):
            if _moment(_receipt(directory, number).stat()) != answered:
                numbers.append(number)
    return list(Request.objects.filter(pk__in=numbers[:_RENEWED]))


def _newer() -> QuerySet[Any]:
    """Return the newer requests of the same key. A row that asks for nothing, as what is wanted is
    incomplete, is none: the request before it stands."""
    rows = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    return rows.exclude(body="")


def _receipt(directory: Path, number: int) -> Path:
    return directory / f"{safe(outbox.request_id(number))}.yaml"


def _moment(status: os.stat_result) -> datetime:
    """Return when a receipt was written, by the clock of its host, as a database keeps it."""
    return _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a receipt newly says of a row. wrong: why that is not the row's answer, or ''; at: when
    it was written."""

    row: Request
    answer: answers.Answer
    at: datetime
    wrong: str

    @property
    def concerns_others(self) -> bool:
        """Return True if other rows follow from it, so that it is recorded by itself, in order."""
        refused = self.row.action in _WITH_USERS and self.answer.state == "refused"
        return bool(self.wrong) or self.row.action == "reconcile" or refused


def _told(directory: Path, rows: Iterable[Request]) -> Iterator[_Told]:
    """Yield what the receipts of rows say that is not recorded yet."""
    for row in rows:
        try:
            with _receipt(directory, row.number).open("rb") as file:
                at, receipt = _moment(os.fstat(file.fileno())), file.read()
        except FileNotFoundError:
            continue
        answer = answers.read(receipt)
        if answer is None:
            continue
        wrong = numbers.why_not_its(row, answer)
        if wrong or answer.whole != row.answer:
            yield _Told(row, answer, at, wrong)
        else:
            Request.objects.filter(pk=row.pk, state="done").update(answered=at)


def _portions(told: Iterable[_Told]) -> Iterator[list[_Told]]:
    """Yield what is recorded together, in order: many rows, or one that concerns others."""
    some: list[_Told] = []
    for one in told:
        if one.concerns_others:
            if some:
                yield some
            yield [one]
            some = []
        else:
            some.append(one)
            if len(some) == _PORTION:
                yield some
                some = []
    if some:
        yield some


def _record(told: Sequence[_Told]) -> int:
    """Record a portion; return how many rows changed."""
    [first, *others] = told
    if first.wrong:
        return _is_unheard(first.row, first.wrong)
    try:
        return _record_answers(told)
    except DatabaseError:
        if not others:
            raise
        # One answer that the database does not take keeps back no other one.
        return sum(_record([one]) for one in told)


def _record_answers(told: Sequence[_Told]) -> int:
    with transaction.atomic():
        # Another sync may work on the same rows. A missing row belonged to a manifest that the
        # service did not carry out.
        rows = Request.objects.select_for_update().filter(pk__in=[one.row.pk for one in told])
        there = set(rows.values_list("pk", flat=True))
        kept = [one for one in told if one.row.pk in there]
        Step.objects.filter(request__in=there).delete()
        steps = [
            _step(one.row, part)
            for one in kept
            for part in (*one.answer.parts, *_left_out(one.row, one.answer))
        ]
        Step.objects.bulk_create(steps, batch_size=_STEPS)
        for one in kept:
            # One statement for all would be as large as all answers together.
            Request.objects.filter(pk=one.row.pk).update(
                state=one.answer.state,
                answer=one.answer.whole,
                answered=one.at,
                error="; ".join(one.answer.problems),
                advice="; ".join(one.answer.advice),
            )
            _follow_up(one.row, one.answer)
    return len(kept)


def _step(row: Request, part: answers.Part) -> Step:
    return Step(
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


def _follow_up(row: Request, answer: answers.Answer) -> None:
    """Change the rows that an answer to another one concerns."""
    if row.action == "reconcile" and answer.state in _NOT_FOLLOWED:
        manifest.forget_unfollowed(row.number)
    if row.action in _WITH_USERS and answer.state == "refused":
        outbox.drop_leavers(Request.objects.get(pk=row.pk))


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
    last = stands.everywhere()
    wanted = stands.read(last)
    known = {(row.allocation, row.user): row for row in Standing.objects.all()}
    now = timezone.now()
    fresh: list[Standing] = []
    # The users of one request mostly have the same news, so it is one statement for all of them.
    altered: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for (allocation, user), of_user in wanted.items():
        row, stand = known.get((allocation, user)), of_user.stand
        told: dict[str, Any] = {"state": stand.state, "message": stand.message}
        told |= {"advice": stand.advice, "number": of_user.number}
        if row is not None and all(getattr(row, name) == value for name, value in told.items()):
            continue
        ready = row.ready if row is not None else None
        if stand.state == answers.READY and ready is None:
            ready = now
        if row is None:
            fresh.append(Standing(allocation=allocation, user=user, ready=ready, **told))
        else:
            altered.setdefault((*told.items(), ("ready", ready)), []).append(row.pk)
    allocations = {request.allocation for request in last}  # also those that list nobody
    gone = [row.pk for at, row in known.items() if at[0] in allocations and at not in wanted]
    with transaction.atomic():
        for some in _chunks(gone):
            Standing.objects.filter(pk__in=some).delete()
        Standing.objects.bulk_create(fresh, batch_size=500, ignore_conflicts=True)
        for news_of_them, rows in altered.items():
            for some in _chunks(rows):
                Standing.objects.filter(pk__in=some).update(**dict(news_of_them))
    return len(fresh) + sum(map(len, altered.values())) + len(gone)


def _chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    return (keys[start : start + 500] for start in range(0, len(keys), 500))
