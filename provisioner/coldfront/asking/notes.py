"""Notes: rows that say that something changed, until there is a request for it.

Promises: a note stays until a request was made after it was read. Leaves out: making that request
(`outbox`), and when something is noted (`heard`).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from provisioner.coldfront.asking import mapping
from provisioner.coldfront.models import NEW, Request

LATE = datetime.timedelta(minutes=1)
"""The age from which a note has probably been left by a process that was killed."""

_EVENTS = 500
_CHUNK = 500


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


def note(kind: str, pk: int, event: str, by: str) -> int:
    """Note that something changed, and return the note's number; a request follows soon.

    kind: `allocation` or `project`. When the note is late, `outbox.flush` makes its request.
    """
    key = mapping.key_of(kind, pk)
    return int(Request.objects.create(event=event[:_EVENTS], key=key, by=by, **{kind: pk}).pk)


def forget(numbers: Sequence[int]) -> None:
    """Delete notes, because the request for them exists."""
    for start in range(0, len(numbers), _CHUNK):
        some = Request.objects.filter(pk__in=numbers[start : start + _CHUNK])
        some.filter(state=NEW, body="").delete()


def late() -> list[Late]:
    """Return the notes older than a minute: of a killed process, or of many changes of one thing.

    A thing that two people changed is there twice, because each request names one of them.
    """
    rows = Request.objects.filter(state=NEW, body="", created__lt=timezone.now() - LATE)
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
