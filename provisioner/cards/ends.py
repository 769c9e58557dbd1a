"""Ends: access that a request lets end at a date, the next first.

Promises: reads the journal only. Leaves out: closing it (`admission.endings`).
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.journal.journal import Connection
from provisioner.journal.queries import dates
from provisioner.journal.queries.dates import End
from provisioner.journal.records import request_rows
from provisioner.outcome.results import moment
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request

SOON = 30
"""Days before access ends from which an operator is told."""


def soon(conn: Connection, now: float) -> Sequence[End]:
    """Return what ends soon, or should have ended and is not closed yet, the next first."""
    return dates.ends_until(conn, now + SOON * 86400.0)


def words(conn: Connection, end: End) -> str:
    """Return what ends and when: `jdoe in allocation 41 (CF0003, hpc-storage), on 2026-12-04`."""
    root, slash, leaf = end.subject.partition("/")
    kind, _, name = root.partition(":")
    project, resource = place(conn, end)
    about = ", ".join(filter(None, (project, resource)))
    whole = name if kind == "user" else f"{kind} {name}" + (f" ({about})" if about else "")
    who = f"{leaf.partition(':')[2]} in " if slash else ""
    return f"{who}{whole}, on {moment(end.at)[:10]}"


def place(conn: Connection, end: End) -> tuple[str, str]:
    """Return the project and the resource that the request with the date names, each '' if none."""
    record = request_rows.load(conn, [end.request]).get(end.request)
    try:
        request = parse_request(record.body) if record is not None else None
    except InvalidDocument:  # the request is in an older format
        request = None
    if request is None:
        return "", ""
    return str((request.values.get("project") or {}).get("code") or ""), request.resource or ""


def sentence(number: int, next_one: str) -> str:
    """Return the line about what ends soon. next_one: from `words`."""
    what = f"access that ends within {SOON} days: {number} (next: {next_one})"
    return f"{what}; all: provisioner list ends"
