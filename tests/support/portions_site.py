"""A manifest that is followed a portion at a time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.manifests import listing
from tests.support.engine_site import Site, release
from tests.support.manifest_site import Line, entry, newest, put, reconcile
from tests.support.policy_site import OPERATOR, PORTAL

POLICY = """\
policy:
  mass: {users: 3, share: 20}
  rules:
  - {who: [uid-4711], actions: ["*"], files: 10, others: true}
  - {who: [uid-4711], actions: [allocation.provision], review: true}
  - {who: [uid-4712, uid-4713], actions: ["*"], others: true}
"""


def line_by_line(root: Path, patch: pytest.MonkeyPatch) -> Site:
    """Return a site whose portions are a line each."""
    patch.setattr(listing, "LINES", 1)
    patch.setattr(listing, "MOMENT", 0.0)
    return Site(root, POLICY)


def send(
    site: Site, *lines: Line, action: str = "reconcile", uid: int = PORTAL, **more: Any
) -> None:
    """Put a manifest and its request into staging."""
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    named = {"file": "all.jsonl", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    put(site, "all.jsonl", data, uid)
    request = {"provisioner": 1, "action": action, "manifest": named, **more}
    put(site, "reconcile.json", json.dumps(request).encode(), uid)


def steps(site: Site, count: int) -> None:
    """Let the service take the files in staging, and do some portions."""
    for _ in range(count):
        site.service.take()
    site.service.clerk.catch_up()


def finish(site: Site) -> Record:
    """Do the rest; return the manifest's request."""
    site.take()
    site.drain()
    return newest(site, "reconcile.json")


def state(site: Site, name: str) -> str | None:
    """Return the state of the newest request of a name; None: there is none."""
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    return found.state if found is not None else None


def restart(site: Site) -> None:
    """Start the service as after a crash."""
    site.spool.close()
    site.system.journal.close()
    site.start()


def crowd(site: Site, *lines: Line) -> Record:
    """Send a manifest that is held because it would shut out too many."""
    reconcile(site, *(entry(number, f"u{number}") for number in range(1, 10)))
    held = reconcile(site, entry(1, "u1"), *lines)
    assert held.state == "held"
    return held


def let_go(site: Site, one: Record) -> None:
    put(site, "release.yaml", release(one).encode(), OPERATOR)
    site.take()
    site.drain()
