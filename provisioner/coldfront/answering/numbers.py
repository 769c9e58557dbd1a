"""The numbers of requests: whose an answer is, and whether the service has seen higher ones.

Promises: an answer counts only for the row whose very text the service says that it read. If the
service knows numbers that this ColdFront has not given out, as after a restore of ColdFront's
database, that is noted, and nothing is sent until somebody renumbers. Leaves out: refusing to send
(`outbox`).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from provisioner.coldfront.answering import answers, news
from provisioner.coldfront.asking import files, outbox, sending
from provisioner.coldfront.models import (
    INCOMPLETE,
    NEW,
    RENUMBERED,
    RETRYABLE,
    UNHEARD,
    Request,
    Sync,
)
from provisioner.outcome.receipts import ENDING, safe

_KEY = "numbers"
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)
"""By how much the clocks of ColdFront's and the service's host may differ."""


# Whose an answer is.


def why_not_its(row: Request, answer: answers.Answer) -> str:
    """Return why an answer is not the answer to a row, or says nothing of it; '' if it does."""
    if not _is_its(row, answer):
        return (
            f"the service knows another request under the id {outbox.request_id(row.number)},"
            " and has not carried out this one"
        )
    if answer.state == "superseded" and not _is_replaced(row):
        _note(answer.overtaken_by)
        said = "; ".join(answer.problems)
        return "the service has replaced this request by one that this ColdFront does not have" + (
            f": {said}" if said else ""
        )
    return ""


def _is_its(row: Request, answer: answers.Answer) -> bool:
    told = {key: str(answer.whole.get(key) or "") for key in ("action", "digest")}
    if told["action"] not in ("", row.action):
        return False
    if not told["digest"]:
        # A file that the service could not read has none, and is not done either.
        return answer.state in RETRYABLE
    return told["digest"] in _digests(row) or _is_large_and_later(row, answer)


def _digests(row: Request) -> Iterator[str]:
    """Yield the digests of a row's request: as a file, and as a line of a manifest."""
    yield hashlib.sha256(row.body.encode()).hexdigest()
    yield hashlib.sha256(json.dumps(json.loads(row.body)).encode()).hexdigest()
    yield hashlib.sha256(_file(row).body).hexdigest()


def _is_large_and_later(row: Request, answer: answers.Answer) -> bool:
    """Return True for a request with a list of users, if it was accepted after the row was made.

    The name of its list comes from ColdFront's SECRET_KEY, which may have changed.
    """
    accepted = answers.moment(answer.whole.get("accepted"))
    later = accepted is not None and accepted > row.created - _CLOCKS_DIFFER
    return later and _file(row).users is not None


def _file(row: Request) -> files.Files:
    return files.files_of(outbox.list_name(row.number), row.body)


def _is_replaced(row: Request) -> bool:
    """Return True if this ColdFront has sent a newer request with the same order."""
    newer = Request.objects.filter(key=row.key, number__gt=row.number).exclude(body="")
    return bool(newer.exclude(state__in=(NEW, INCOMPLETE)).exists())


# Whether they begin again.


def look(receipts: Path) -> int:
    """Return the highest number that the service knows and this ColdFront has not given out, or 0.

    It stays noted until somebody renumbers. Raises OSError when the receipts are not readable.
    """
    _note(_highest(receipts))
    return sending.ahead()


def _note(number: int) -> None:
    """Note a number that the service knows, if this ColdFront has not given it out."""
    newest = Request.objects.aggregate(newest=Max("number"))["newest"] or 0
    if number <= newest:
        return
    # The newest rows may have been deleted. Only a new number tells for certain.
    row = Request.objects.create(event=_KEY, key=_KEY, state=RENUMBERED)
    row_number = int(row.pk)
    row.delete()
    if number >= row_number:
        news.are_behind(number)


def unheard() -> list[Request]:
    """Return the newest requests of their subjects that the service has not heard."""
    newer = Request.objects.filter(key=OuterRef("key"), number__gt=OuterRef("number"))
    return list(Request.objects.filter(~Exists(newer.exclude(body="")), state=UNHEARD))


def _highest(receipts: Path) -> int:
    """Return the highest number in the names of the receipts; 0 if there is none."""
    begins = re.escape(safe(outbox.request_id(0)).removesuffix("0"))
    name = re.compile(rf"{begins}([0-9]{{1,18}}){re.escape(ENDING)}")
    try:
        entries = os.scandir(receipts)
    except FileNotFoundError:
        return 0
    with entries:
        found = (name.fullmatch(entry.name) for entry in entries)
        return max((int(match[1]) for match in found if match), default=0)


def renumber(receipts: Path) -> tuple[int, int]:
    """Let the numbers continue above all that the service may know, and permit sending again.

    Requests that wait get new numbers. Return the first number, and how many requests waited. The
    number is at least the seconds since 1970: more than any ColdFront has had requests.
    """
    with transaction.atomic():
        newest = Request.objects.aggregate(newest=Max("number"))["newest"] or 0
        first = max(int(time.time()), newest + 1, _highest(receipts) + 1, sending.ahead() + 1)
        Request.objects.create(
            number=first, event="provisioner_renumber", key=_KEY, state=RENUMBERED,
            written=timezone.now(),
        )  # fmt: skip
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), [Request]):
                cursor.execute(statement)
        waiting = list(Request.objects.filter(state=NEW).exclude(body=""))
        for row in waiting:
            sending.repeat(row)
        Sync.objects.update(behind=0)
    return first, len(waiting)
