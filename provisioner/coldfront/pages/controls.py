"""The buttons: a control request for each, in the name of whoever pressed it.

Promises: nothing is done here but to ask; whether the web may, and whether this person may release
that request, the service's policy says. What is released is what the page showed. Leaves out: who
may press (`access`).
"""

from __future__ import annotations

import datetime
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from provisioner.coldfront import actor
from provisioner.coldfront.asking import mapping, outbox
from provisioner.coldfront.asking.wanted import one_line
from provisioner.coldfront.models import NEW, OPEN, Request
from provisioner.contract import ConfigError, InvalidRequest

log = logging.getLogger(__name__)

LABELS: Mapping[str, tuple[str, str]] = {
    "retry": ("Try again", "btn-primary"),
    "release": ("Release", "btn-success"),
    "hold": ("Hold", "btn-secondary"),
    "cancel": ("Cancel", "btn-danger"),
}
"""Each verb's label and class."""

_SENSIBLE: Mapping[str, tuple[str, ...]] = {
    "accepted": ("hold", "cancel"),
    "deferred": ("retry", "hold", "cancel"),
    "observed": ("hold", "cancel"),
    "scheduled": ("hold", "cancel"),
    "held": ("release", "cancel"),
    "failed": ("retry",),
    "refused": ("retry",),
    "cancelled": ("retry",),
}

_VALID = datetime.timedelta(days=1)
"""How long a press of a button counts: staging may have taken nothing meanwhile."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def sensible(state: str, *, newest: bool, asked: bool) -> tuple[str, ...]:
    """List the verbs that make sense for a request.

    newest: nothing was said of its subject since; asked: another verb's answer is still to come.
    """
    if asked:
        return ()
    verbs = _SENSIBLE.get(state, ())
    return verbs if newest else tuple(verb for verb in verbs if verb != "retry")


def pending(row: Request) -> Request | None:
    """Find what was asked of a request and not answered yet."""
    found: Request | None = Request.objects.filter(of=row.pk, state__in=(NEW, *OPEN)).last()
    return found


def ask(target: Request, verb: str, person: str, reason: str, digest: str = "") -> Request:
    """Ask for something to be done with a request; return the row, written where staging took it.

    digest: that of the request which the page showed; only a release says it. Raises
    InvalidRequest when it makes no sense, or the person cannot be named.
    """
    newer = Request.objects.filter(key=target.key, number__gt=target.number).exclude(digest="")
    fit = sensible(target.state, newest=not newer.exists(), asked=pending(target) is not None)
    if verb not in fit:
        raise InvalidRequest(
            f"{outbox.request_id(target.number)} is {target.state}, or something was asked of it"
            f" already: it cannot be told to {verb} now",
            advice="look again in a minute",
        )
    if not actor.nameable(person):
        raise InvalidRequest(
            f"the user name {person!r} cannot stand in a request",
            advice="ask somebody whose name has at most 150 of A-Z a-z 0-9 _ . @ + -",
        )
    with transaction.atomic():
        row: Request = Request.objects.create(
            event=f"{verb} by {person}",
            action=f"request.{verb}",
            subject=f"request:{target.number}",
            key=mapping.key_of("request", target.number),
            allocation=target.allocation,
            project=target.project,
            user=target.user,
            of=target.number,
            by=person,
        )
        seen = digest if verb == "release" and _DIGEST.fullmatch(digest) else None
        document = _document(row, target, reason) | ({"digest": seen} if seen else {})
        row.body = json.dumps(document, ensure_ascii=False)
        row.digest = verb
        row.save()
        transaction.on_commit(lambda: _write(row), robust=True)
    row.refresh_from_db()
    return row


def _document(row: Request, target: Request, reason: str) -> dict[str, Any]:
    said = (target.answer or {}).get("id")
    exact = isinstance(said, str) and _ULID.fullmatch(said)
    document = {
        "provisioner": 1,
        "action": row.action,
        "id": outbox.request_id(row.number),
        "order": {"key": row.key, "number": row.number},
        "on_behalf_of": row.by,
        "reason": one_line(reason),
        "expires": (timezone.now() + _VALID).isoformat(timespec="seconds"),
        "request": said if exact else outbox.request_id(target.number),
    }
    return {name: value for name, value in document.items() if value is not None}


def _write(row: Request) -> None:
    try:
        outbox.write(row)
    except (ConfigError, OSError) as error:
        log.error("provisioner: staging takes nothing, and is tried again later: %s", error)
