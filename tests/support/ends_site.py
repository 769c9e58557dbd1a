"""Requests whose access ends, or that begin, at a date, and the service's look at dates."""

from __future__ import annotations

import math
import os
import time
from datetime import UTC, datetime, timedelta

from tests.support.engine_site import Site, allocation

DAY = 86400.0

SOON = 0.4
"""Seconds until all of it is due."""


def ending(text: str, days: float) -> str:
    """Let a request's access end in some days."""
    moment = datetime.fromtimestamp(time.time() + days * DAY, UTC)
    return text.replace("action:", f"ends: {moment:%Y-%m-%dT%H:%M:%SZ}\naction:", 1)


def look(site: Site) -> None:
    """Let the service look at dates now."""
    site.service.house.intake._look_again = site.service.house.intake._look_at_ends = 0.0
    site.take()
    site.drain()


def scheduled(site: Site, *owners: int) -> None:
    """Schedule a request of each owner for one moment, in this order, and wait for it."""
    due = datetime.now(UTC) + timedelta(seconds=SOON)
    site.service.house.intake._look_again = math.inf  # however long the drops take
    for number, owner in enumerate(owners):
        path = site.spool.staging / f".{number}"
        path.write_text(allocation(number, "ann", head=f"not_before: {due.isoformat()}\n"))
        os.chown(path, owner, owner)
        path.rename(site.spool.staging / f"{number}.yaml")
        site.take()
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()) + 0.01)
    site.service.house.intake._look_again = 0.0
