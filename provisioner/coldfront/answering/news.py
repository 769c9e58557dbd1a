"""How old the news from the service is: when the answers were last read.

Promises: a page that shows a state also knows its age. Leaves out: reading the answers (`sync`).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils import timezone

from provisioner.coldfront.asking import sending
from provisioner.coldfront.models import Sync

STALE = datetime.timedelta(minutes=5)
"""The age from which the timer of `provisioner_sync` has probably stopped: it runs each minute."""

_ONLY = 1
"""The key of the one row."""


@dataclass(frozen=True, slots=True)
class News:
    """at: when the answers were last read, None if never; error: why they cannot be read, or '';
    stale: older than `STALE`; fresh: younger than a minute; unsent: why nothing is sent, or ''."""

    at: datetime.datetime | None = None
    error: str = ""
    stale: bool = False
    fresh: bool = False
    unsent: str = ""


def read() -> News:
    """Return how old the news is."""
    row = Sync.objects.filter(pk=_ONLY).first()
    if row is None:
        return News(stale=True)
    age = timezone.now() - row.at
    stale = bool(row.error) or age > STALE
    unsent = sending.why_behind(row.behind) if row.behind else ""
    return News(row.at, row.error, stale, age < datetime.timedelta(minutes=1), unsent)


def are_read() -> None:
    """Note that the answers were read just now."""
    Sync.objects.update_or_create(pk=_ONLY, defaults={"at": timezone.now(), "error": ""})


def are_unreadable(why: str) -> None:
    """Note that the answers could not be read; the time of the last good look stays."""
    Sync.objects.filter(pk=_ONLY).update(error=why)


def are_behind(number: int) -> None:
    """Note a number that the service knows and this ColdFront has not given out."""
    made = {"at": timezone.now(), "behind": number}
    Sync.objects.update_or_create(pk=_ONLY, defaults={"behind": number}, create_defaults=made)
