"""Sending: the outbox's rows as files in staging.

Promises: if staging cannot be written, the row stays and becomes a file later. Nothing is sent
while the service knows higher numbers than this ColdFront. Leaves out: what the rows say
(`outbox`), and manifests (`manifest`).
"""

from __future__ import annotations

import json
from collections.abc import Collection

from django.db.models import Case, When
from django.utils import timezone

from provisioner.coldfront.asking import files, options, outbox
from provisioner.coldfront.models import NEW, WRITTEN, Request, Sync
from provisioner.contract import ConfigError


def flush(limit: int | None = None) -> int:
    """Write the rows that wait, in order; return how many requests were written.

    limit: at most so many. Raises ConfigError or OSError when it cannot write one; every row that
    waits then has the error.
    """
    outbox.finish_notes()
    stop_if_behind()
    # Users first: the requests for what they get wait until the users are known.
    first = Case(When(action="user.provision", then=0), default=1)
    rows = Request.objects.filter(state=NEW).exclude(body="").order_by(first, "number")
    written: list[Request] = []
    try:
        for row in rows[:limit] if limit is not None else rows.iterator():
            _drop(row)
            written.append(row)
    finally:
        _mark_all(written)
    return len(written)


def _mark_all(written: list[Request]) -> None:
    """Note that rows are files; after a kill before this, the same files are written again."""
    first = [row.pk for row in written if row.action == "user.provision"]
    rest = [row.pk for row in written if row.action != "user.provision"]
    for numbers in (first, rest):
        for start in range(0, len(numbers), 500):
            some = Request.objects.filter(pk__in=numbers[start : start + 500], state=NEW)
            some.update(state=WRITTEN, written=timezone.now(), error="")


def write(row: Request) -> None:
    """Write one row to staging.

    Raises ConfigError or OSError when it cannot; every row that waits then has the error.
    """
    stop_if_behind()
    _drop(row)
    mark_written(row)


def _drop(row: Request) -> None:
    try:
        files.put(
            options.staging(), outbox.request_id(row.number), outbox.list_name(row.number), row.body
        )
    except (ConfigError, OSError) as error:
        _all_wait(str(error))
        raise


def _all_wait(why: str) -> None:
    Request.objects.filter(state=NEW).exclude(body="").update(error=why)


def ahead() -> int:
    """Return the noted number that the service knows and this ColdFront has not given out, or 0."""
    numbers = Sync.objects.filter(behind__gt=0).values_list("behind", flat=True)
    return int(numbers.first() or 0)


def why_behind(number: int) -> str:
    """Return what is wrong if the service knows a higher number than this ColdFront has given out,
    and what to type."""
    return (
        f"the service knows {outbox.request_id(number)}, which this ColdFront has not sent. Either"
        " ColdFront's database was restored or the app installed again; then run:"
        " coldfront provisioner_renumber. Or another ColdFront has the same PROVISIONER_INSTANCE,"
        " and one of the two is a copy; then give the copy another service's staging. Until then"
        " nothing is sent"
    )


def stop_if_behind() -> None:
    """Raise ConfigError if numbers are behind: what is sent would be taken for something else."""
    number = ahead()
    if number:
        _all_wait(why_behind(number))
        raise ConfigError(why_behind(number))


def repeat(row: Request) -> None:
    """Give a row that waits a new number; its request has that, too."""
    document = json.loads(row.body)
    old, row.pk = row.pk, None
    row.error, row._state.adding = "", True
    row.save(force_insert=True)
    document |= {
        "id": outbox.request_id(row.number),
        "order": {"key": row.key, "number": row.number},
    }
    row.body = json.dumps(document, ensure_ascii=False)
    row.save(update_fields=["body"])
    Request.objects.filter(pk=old).delete()


def mark_written(row: Request) -> None:
    """Note that a row is a file now."""
    Request.objects.filter(pk=row.pk, state=NEW).update(
        state=WRITTEN, written=timezone.now(), error="", body=row.body
    )


def waiting() -> Collection[int]:
    """Return the numbers of the rows that are not files yet."""
    return list(Request.objects.filter(state=NEW).values_list("number", flat=True))
