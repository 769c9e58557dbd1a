"""Manifests as a portal sends them, and their results."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime
from typing import Any

from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site
from tests.support.policy_site import PORTAL

POLICY = """\
policy:
  mass: {users: 3, share: 20}
  rules:
  - {who: [uid-4711], actions: ["*"], others: true, numbers: true}
"""


Line = dict[str, Any]


def entry(number: int, *users: str, files: int = 5, code: str = "cf") -> Line:
    """Write an allocation as a manifest lists it."""
    body = {
        "id": number,
        "resource": "one",
        "project": {"code": f"{code}{number}"},
        "users": list(users),
        "quota": {"files": files},
    }
    return {"action": "allocation.provision", "allocation": body}


def put(site: Site, name: str, data: bytes, uid: int = PORTAL) -> None:
    """Let a writer move a file into staging."""
    path = site.root / name
    path.write_bytes(data)
    path.chmod(0o600)
    os.chown(path, uid, -1)
    path.rename(site.spool.staging / name)


def ask(site: Site, line: Line, uid: int = PORTAL) -> None:
    """Let a writer send one request separately."""
    put(site, "one.json", json.dumps({"provisioner": 1, **line}).encode(), uid)
    site.take()
    site.drain()


def reconcile(
    site: Site, *lines: Line, as_of: datetime | None = None, uid: int = PORTAL, **wrong: Any
) -> Record:
    """Send a manifest and the request that names it; return that one at its end.

    wrong: what differs from what it would be; name: of the request's file.
    """
    name = wrong.get("name", "reconcile.json")
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    put(site, "all.jsonl", data, wrong.get("owner", uid))
    named = {
        "file": "all.jsonl",
        "size": len(data),
        "sha256": hashlib.sha256(wrong.get("text", data)).hexdigest(),
    }
    request: Line = {"provisioner": 1, "action": "reconcile", "manifest": named}
    request |= {name: wrong[name] for name in ("kinds", "since") if name in wrong}
    if as_of is not None:
        request["as_of"] = as_of.isoformat()
    put(site, name, json.dumps(request).encode(), uid)
    site.take()
    site.drain()
    return newest(site, name)


def newest(site: Site, name: str) -> Record:
    """Return the newest request of a name."""
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def told(record: Record) -> str:
    """Return what the request's writer reads."""
    return " ".join(problem["message"] for problem in record.problems or ())


def members(site: Site) -> set[str]:
    """Return the users of open accounts, as `account/user`."""
    found = {key.removeprefix("first/member/") for key in site.first.rows if "/member/" in key}
    return {who for who in found if site.limit(f"first/account/{who.split('/')[0]}") != "0"}


def own(number: int, line: Line) -> Line:
    """Return a line of a manifest with its own id and order."""
    key = f"allocation-{line['allocation']['id']}"
    return {**line, "id": f"portal-{number}", "order": {"key": key, "number": number}}


def elsewhere(number: int, *users: str) -> Line:
    """Write an allocation on a resource that the site does not have."""
    line = entry(number, *users)
    line["allocation"]["resource"] = "three"
    return line
