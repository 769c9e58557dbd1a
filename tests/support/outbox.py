"""What is asked for and answered beside a ColdFront of any version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

from provisioner.coldfront.models import Request
from provisioner.contract import Json
from provisioner.request.request import parse_request
from tests.support.receipts_site import write


def files(staging: Path) -> list[dict[str, Any]]:
    """Read every request in staging, in the writer's order; each is right by the format."""
    found = []
    for path in staging.glob("*.json"):
        body = path.read_bytes()
        parse_request(body)
        found.append(json.loads(body))
    return sorted(found, key=lambda document: document["order"]["number"])


def answer(
    directory: Path,
    row: Request,
    state: str,
    *steps: dict[str, Any],
    problems: Sequence[dict[str, Any]] = (),
    **told: Json,
) -> None:
    """Answer as the service does. told: what the receipt says otherwise."""
    write(
        directory.parent,
        directory.name,
        f"cf-{row.number}",
        {
            "action": row.action,
            "digest": hashlib.sha256(row.body.encode()).hexdigest(),
            "state": state,
            "problems": list(problems),
            "steps": list(steps),
            **told,
        },
    )


def sync() -> str:
    said = StringIO()
    call_command("provisioner_sync", stdout=said, stderr=said)
    return said.getvalue()
