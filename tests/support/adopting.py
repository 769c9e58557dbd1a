"""Adoptions, and what became of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from provisioner.config import schema
from provisioner.journal.records import ledger, object_rows
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site
from tests.support.manifest_site import Line, newest, put

RELEASE = "provisioner: 1\naction: journal.release\n"

MORE = """\
mode: observe
policy:
  mass: {users: 3, share: 20}
  rules:
  - {who: [uid-4711], actions: ["allocation.*", "membership.*", "reconcile"], new_users: 1}
  - {who: [uid-4712], actions: [adopt, "allocation.*"]}
"""


def observing(root: Path) -> Site:
    """Return a service that observes what old scripts made: cf1 with ann and bob, and old."""
    site = Site(root, MORE)
    for name in ("account/cf1", "member/cf1/ann", "member/cf1/bob", "account/old"):
        site.first.rows[f"first/{name}"] = {"present": True, "limit": "5"}
    return site


def adopt(site: Site, *lines: Line, uid: int = 0, **more: Any) -> Record:
    """Send an adoption; return it at its end."""
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    put(site, "all.jsonl", body, uid)
    digest = hashlib.sha256(body).hexdigest()
    named = {"file": "all.jsonl", "size": len(body), "sha256": digest}
    request = {"provisioner": 1, "action": "adopt", "manifest": named, **more}
    put(site, "adopt.json", json.dumps(request).encode(), uid)
    site.take()
    site.drain()
    return newest(site, "adopt.json")


def portals(site: Site, *lines: Line, **more: Any) -> Record:
    """Adopt what a portal wants, as root."""
    return adopt(site, *lines, writer="uid-4711", **more)


def found(site: Site, key: str) -> str | None:
    with site.system.journal.reading() as conn:
        return object_rows.adoptions_of(conn, [key]).get(key)


def claims(site: Site) -> set[tuple[str, str, str]]:
    with site.system.journal.reading() as conn:
        return {(one.key, one.claimant, one.source) for one in ledger.everything(conn)}


def child(site: Site, number: int = 1) -> Record:
    """Return the request that an adoption made of a line."""
    return newest(site, f"all.jsonl-{number}.json")


def thing(key: str) -> Line:
    return {"object": key}


def release(site: Site) -> None:
    """Let what is wanted be written."""
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace("mode: observe", "mode: converge"))
    site.config = schema.load(path)
    site.start()
    site.request(RELEASE, "release.yaml")
