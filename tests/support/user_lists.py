"""Requests whose users are in a file beside them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from provisioner.spool.submit import drop_companion
from tests.support.engine_site import Site


def listed(site: Site, names: list[str], *, text: str | None = None, **keys: Any) -> str:
    """Put a list into staging, and write the request that names it."""
    body = ("\n".join(names) + "\n" if text is None else text).encode()
    name = drop_companion(site.spool.staging, "1.users", body)
    return request(name, body, **keys)


def request(name: str, body: bytes, **keys: Any) -> str:
    """Write a request whose users are in a file."""
    digest = hashlib.sha256(body).hexdigest()
    file = {"file": name, "size": len(body), "sha256": digest, **keys.pop("named", {})}
    one = {"id": "1", "resource": "one", "project": {"code": "cf"}, "users_file": file}
    head = {"provisioner": 1, "action": "allocation.provision", **keys.pop("head", {})}
    return json.dumps({**head, "allocation": {**one, **keys}})
