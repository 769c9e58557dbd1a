"""Endings: the service's own requests when a date that a request named in `ends` has come.

Promises: a date leads to one request, in one commit with the note that it did, and to another one
only if that one was refused or failed before it began. It is made only if no newer request of the
subject has claimed since. Access ends although its writer may ask for nothing any more; only a
crowd is held. Leaves out: warning people before (`notify`), and what a suspension does
(`controls.access`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

from provisioner.admission.acceptance import Acceptance, Admitted, Terms
from provisioner.admission.candidates import Candidate
from provisioner.journal.figures import weights
from provisioner.journal.journal import Connection
from provisioner.journal.queries import beforehand, history, holdings, subjects
from provisioner.journal.queries.subjects import End
from provisioner.journal.records import request_rows
from provisioner.objects.losses import Shift
from provisioner.policy.review import AS_SERVICE, Answers
from provisioner.policy.targets import steered
from provisioner.request.request import parse_request
from provisioner.spool.spool import Submission
from provisioner.system import ulid

MOMENT = 0.5
"""Seconds after which a commit takes no more of what has come due: a request can have 10,000 users,
and others have their turn between two commits."""

MANY = 100_000
"""Claims above which it is not found out what each person keeps by others: that takes 4 KB each."""

_AGAIN = 86400.0
"""Seconds after which a date is followed again whose request failed before it closed anything."""


def follow(terms: Terms, now: float) -> Iterator[Admitted]:
    """Suspend whose date has come, each by a request of its own, which may be held.

    now: the time by which dates count, seconds since the epoch. All that are due count as one
    crowd.
    """
    with terms.book.reading() as conn:
        due = subjects.ends_until(conn, now, time.time() - _AGAIN)
        crowd = frozenset(_losers(conn, due, terms))
    left = iter(due)
    for first in left:
        with terms.book.transaction(new_work=True) as conn:
            acceptance, until = Acceptance(conn, time.time(), terms), time.monotonic() + MOMENT
            for end in chain([first], left):
                # Read again: another request may have come between.
                if end in subjects.ends_of(conn, [end.subject]):
                    _follow(acceptance, end, crowd)
                if time.monotonic() >= until:
                    break
        yield acceptance.admitted()


def _follow(acceptance: Acceptance, end: End, crowd: frozenset[str]) -> None:
    """Admit the request that ends a subject's access, and note that its date did."""
    conn = acceptance.conn
    record = request_rows.load(conn, [end.request])[end.request]
    behind = tuple(dict.fromkeys(steered(conn, record).askers))
    submission = _submission(end, behind)
    subjects.set_ended(conn, end.request, submission.ulid)
    candidate = Candidate(submission, parse_request(submission.body), (), ())
    acceptance.admit([candidate], Answers(*AS_SERVICE, beside=crowd))


def _losers(conn: Connection, due: list[End], terms: Terms) -> set[str]:
    """Return the people who would lose access by all dates that are due.

    Of very many claims, it is whoever has any: that can hold what is no crowd, and lets none go.
    """
    subjects_due = [end.subject for end in due]
    if sum(weights.of(conn, subjects_due).values()) > MANY:
        return holdings.everybody(conn, subjects_due)
    going = holdings.claimed(conn, subjects_due) if due else set()
    return holdings.losers(conn, Shift(going), Shift(), terms.review.nature) if going else set()


def _submission(end: End, behind: tuple[str, ...]) -> Submission:
    """Return the request that ends a subject's access, as its writer's own."""
    body = json.dumps({"provisioner": 1, **about(end)}).encode()
    name = end.subject.replace(":", "-").replace("/", "-")
    return Submission(
        ulid=ulid.new(),
        name=f"{history.DATED}{name}.json",
        uid=end.uid,
        writer=end.writer,
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        device=0,
        inode=0,
        size=len(body),
        behind=behind,
    )


def about(end: End) -> dict[str, object]:
    """Return what is asked for when a subject's date has come."""
    root, slash, leaf = end.subject.partition("/")
    kind, _, name = root.partition(":")
    moment = datetime.fromtimestamp(end.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = f"{end.request} says that it ends at {moment}"
    if slash:
        member = {"user": leaf.partition(":")[2], "allocation": {"id": name}}
        return {"action": "membership.remove", "membership": member, "reason": reason}
    part = {"name": name} if kind == "user" else {"id": name}
    return {"action": f"{kind}.suspend", kind: part, "cause": beforehand.ENDED, "reason": reason}
