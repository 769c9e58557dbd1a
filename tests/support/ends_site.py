"""Requests whose access ends at a date, and the service's look at dates."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tests.support.engine_site import Site

DAY = 86400.0


def ending(text: str, days: float) -> str:
    """Let a request's access end in some days."""
    moment = datetime.fromtimestamp(time.time() + days * DAY, UTC)
    return text.replace("action:", f"ends: {moment:%Y-%m-%dT%H:%M:%SZ}\naction:", 1)


def look(site: Site) -> None:
    """Let the service look at dates now."""
    site.service.intake._look_again = site.service.intake._look_at_ends = 0.0
    site.take()
    site.drain()
