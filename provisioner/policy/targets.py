"""Targets: the request that another one steers, as policy looks at it.

Promises: reads only, inside the caller's transaction. Leaves out: what policy answers (`policy`).
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.contract import InvalidRequest
from provisioner.controls import verbs
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.queries import lookup, precedents
from provisioner.journal.queries.lookup import Seeker
from provisioner.journal.records import request_rows
from provisioner.objects.states import RequestState
from provisioner.policy import rules
from provisioner.request.request import Request

CLAIMING = (
    *("user.provision", "project.provision", "allocation.provision", "membership.add"),
    *("project.archive", "membership.remove"),
)
"""Actions that state everything a subject claims from then on: its other claims go."""

CLOSING = ("user.suspend", "allocation.suspend")
"""Actions that close what is claimed for a subject."""


def named(conn: Connection, request: Request, seeker: Seeker) -> rules.Target | None:
    """Return the request that is steered; None if there is none, which the verb reports."""
    try:
        record = lookup.find(conn, verbs.named(request), seeker)
    except InvalidRequest:
        return None
    target = steered(conn, record)
    return _stopped(conn, record, target) if request.action == "request.retry" else target


_OVER = (RequestState.FAILED, RequestState.CANCELLED)
"""States from which a retry accepts a request once more."""


def _stopped(conn: Connection, record: request_rows.Record, target: rules.Target) -> rules.Target:
    """Add who holds, or held, another request of its writer for the same subject and action."""
    about = (record.writer, record.action, record.subject)
    kept = precedents.kept(conn, [about]).get(about) if record.state in _OVER else None
    if kept is None or kept.id == record.id:
        return target
    [other] = request_rows.load(conn, [kept.id]).values()
    behind = None if target.behind is None else (*target.behind, *_who_asked(conn, other).askers)
    return replace(target, held_by=kept.held_by, behind=behind, stopped=kept.id)


def steered(conn: Connection, record: request_rows.Record) -> rules.Target:
    """Return what policy looks at when a request is steered."""
    return replace(
        _who_asked(conn, record),
        reviewed=bool(record.for_review),
        digest=record.digest,
        before=_asked_before(conn, record) if record.held_by is not None else (),
        held=record.state == RequestState.HELD,
    )


def _who_asked(conn: Connection, record: request_rows.Record) -> rules.Target:
    return rules.Target(
        record.id,
        record.uid,
        record.writer,
        record.held_by,
        record.on_behalf_of,
        audit.behind(conn, record.id),
    )


def _asked_before(conn: Connection, record: request_rows.Record) -> tuple[str, ...]:
    """Return who has asked for what a request is about since it was last done."""
    if record.action in (*CLAIMING, *CLOSING):
        undone = precedents.undone(conn, record)
    else:
        undone = precedents.undone_within(conn, record)
    earlier = request_rows.load(conn, undone).values()
    return tuple(name for record in earlier for name in _who_asked(conn, record).askers)
