"""Requests of several owners at one service, and their results."""

from __future__ import annotations

import os

from provisioner.journal.records import event_rows, request_rows
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site

PORTAL = 4711
"""A uid that nobody has here: the service calls it `uid-4711`."""


OPERATOR = 4712


SECOND = 4713


STRANGER = 4714


POLICY = """\
policy:
  protected: {users: [boss]}
  rules:
  - {who: [uid-4711], actions: [allocation.*, user.provision, membership.*], resources: [one],
     files: 10, new_users: 3, others: true}
  - {who: [uid-4711], actions: [allocation.*], resources: [one], files: 100, review: true,
     others: true}
  - {who: [uid-4711], actions: [user.suspend, lane.pause], review: true}
  - {who: [uid-4711], actions: [user.*, request.cancel, request.retry, request.hold]}
  - {who: [uid-4712, uid-4713], actions: ["*"], others: true}
"""


def put(site: Site, uid: int, text: str, name: str = "r.yaml") -> None:
    """Let a user move a file of theirs into staging, without the service taking it."""
    path = site.root / name
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, uid, -1)
    path.rename(site.spool.staging / name)


def send(site: Site, uid: int, text: str, name: str = "r.yaml") -> Record:
    """Let a user send a request; return it when everything possible is done."""
    put(site, uid, text, name)
    site.take()
    site.drain()
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def now(site: Site, record: Record) -> Record:
    """Return a request as it is now."""
    with site.system.journal.reading() as conn:
        return request_rows.load(conn, [record.id])[record.id]


def told(site: Site, record: Record, *kinds: str) -> list[tuple[str, str]]:
    """Return a request's events of some kinds."""
    with site.system.journal.reading() as conn:
        return [(k, text) for _, k, text in event_rows.events_of(conn, record.id) if k in kinds]


def why(record: Record) -> str:
    """Return what the request's writer reads."""
    return "; ".join(one["message"] for one in record.problems or ())


def spoken(text: str, person: str) -> str:
    return f"{text}on_behalf_of: {person}\n"
