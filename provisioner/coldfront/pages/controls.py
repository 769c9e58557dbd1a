"""The buttons: each sends a control request, in the name of the person who pressed it.

Promises: a button only sends a request. The service's policy decides whether requests from the web
are allowed, and whether this person may release that request. A release applies only to the request
as the page showed it. Leaves out: who may press a button (`access`).
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

from provisioner.coldfront import whose
from provisioner.coldfront.asking import mapping, outbox, sending
from provisioner.coldfront.asking.wanted import one_line
from provisioner.coldfront.models import NEW, OPEN, Request
from provisioner.contract import ConfigError, InvalidRequest
from provisioner.request.values import as_person

log = logging.getLogger(__name__)

LABELS: Mapping[str, tuple[str, str]] = {
    "retry": ("Try again", "btn-primary"),
    "release": ("Release", "btn-success"),
    "hold": ("Hold", "btn-secondary"),
    "cancel": ("Cancel", "btn-danger"),
}
"""The label and the CSS class of each verb."""

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
"""How long a control request is valid; it may wait until staging is writable."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def sensible(state: str, *, newest: bool, busy: bool) -> tuple[str, ...]:
    """Return the verbs that make sense for a request.

    newest: its subject has no newer request; busy: an earlier control request has no answer yet.
    """
    if busy:
        return ()
    verbs = _SENSIBLE.get(state, ())
    return verbs if newest else tuple(verb for verb in verbs if verb != "retry")


def pending(row: Request) -> Request | None:
    """Return the last control request about a request that has no answer yet, or None."""
    control: Request | None = Request.objects.filter(of=row.pk, state__in=(NEW, *OPEN)).last()
    return control


def ask(target: Request, verb: str, person: str, reason: str, digest: str = "") -> Request:
    """Make a control request about a request, and write it to staging if possible; return its row.

    digest: of the request that the page showed; only a release contains it. Raises InvalidRequest
    when the verb makes no sense now, and for a release by a person whose request it is.
    """
    newer = Request.objects.filter(key=target.key, number__gt=target.number).exclude(digest="")
    fit = sensible(target.state, newest=not newer.exists(), busy=pending(target) is not None)
    if verb not in fit:
        raise InvalidRequest(
            f"cannot {verb} {outbox.request_id(target.number)} now: it is {target.state}, or an"
            " earlier button has no answer yet",
            advice="reload the page in a minute",
        )
    if verb == "release" and (own := whose.own(person, [target]).get(target.number)):
        raise InvalidRequest(
            f"cannot release {outbox.request_id(target.number)}: {own}, and {whose.NOBODY}",
            advice=whose.ADVICE,
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
    service_id = (target.answer or {}).get("id")
    exact = isinstance(service_id, str) and _ULID.fullmatch(service_id)
    document = {
        "provisioner": 1,
        "action": row.action,
        "id": outbox.request_id(row.number),
        "order": {"key": row.key, "number": row.number},
        "on_behalf_of": as_person(row.by),
        "reason": one_line(reason),
        "expires": (timezone.now() + _VALID).isoformat(timespec="seconds"),
        "request": service_id if exact else outbox.request_id(target.number),
    }
    return {name: value for name, value in document.items() if value is not None}


def _write(row: Request) -> None:
    try:
        sending.write(row)
    except (ConfigError, OSError) as error:
        log.error("provisioner: cannot write to staging, will try again later: %s", error)
