"""Requests that wait for a backend, and claims that are made meanwhile."""

from __future__ import annotations

from typing import Any

from provisioner.journal.records import ledger
from tests.support.engine_site import Site

RECONCILE = "provisioner: 1\naction: reconcile\n"


def waits(site: Site, text: str, name: str = "waiting.yaml") -> None:
    """Send a request that waits for the first backend."""
    site.first.away = True
    site.drop(text, name)
    site.service.lanes["first"].drain()


def claims(site: Site) -> dict[str, Any]:
    """Return who claims which object, with what limit."""
    with site.system.journal.reading() as conn:
        held = ledger.everything(conn)
    return {f"{one.claimant} {one.key}": (one.want or {}).get("limit") for one in held}
