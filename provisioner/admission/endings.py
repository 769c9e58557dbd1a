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
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from provisioner.admission.acceptance import Acceptance, Terms
from provisioner.admission.admission import UNJUDGED
from provisioner.admission.after_commit import Admitted
from provisioner.admission.candidates import Candidate
from provisioner.journal.figures import weights
from provisioner.journal.journal import Connection, is_of_rows
from provisioner.journal.persons import beforehand
from provisioner.journal.queries import dates, history, holdings
from provisioner.journal.queries.dates import End
from provisioner.journal.records import request_rows
from provisioner.objects.losses import Shift
from provisioner.policy.review import AS_SERVICE, Answers
from provisioner.policy.targets import steered
from provisioner.request.documents import Problem
from provisioner.request.request import parse_request
from provisioner.spool.spool import Submission
from provisioner.system import ulid

log = logging.getLogger(__name__)

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
    crowd, with those whom their writer's requests and dates shut out a moment ago.
    """
    with terms.book.reading() as conn:
        today = terms.company.now()
        due = dates.ends_until(conn, now, today - _AGAIN, today)
        crowd = frozenset(_losers(conn, due, terms))
    while due:
        done = 0
        try:
            with terms.book.transaction(new_work=True) as conn:
                acceptance, until = Acceptance(conn, terms), time.monotonic() + MOMENT
                for end in due:
                    # Read again: another request may have come between.
                    if end in dates.ends_of(conn, [end.subject]):
                        _follow(acceptance, end, crowd)
                    done += 1
                    if time.monotonic() >= until:
                        break
                admitted = acceptance.admitted()
        except Exception as error:
            if done == len(due) or not is_of_rows(error):
                raise
            # Those before it come again at the next look.
            log.exception("%s: its end could not be judged: it is refused", due[done].subject)
            with terms.book.transaction(new_work=True) as conn:
                acceptance = Acceptance(conn, terms)
                _follow(acceptance, due[done], crowd, error)
                admitted = acceptance.admitted()
            done += 1
        due = due[done:]
        yield admitted


def _follow(
    acceptance: Acceptance, end: End, crowd: frozenset[str], error: Exception | None = None
) -> None:
    """Admit the request that ends a subject's access, and note that its date did.

    error: it could not be judged, and so it is refused, until it is made again.
    """
    conn = acceptance.conn
    record = request_rows.load(conn, [end.request])[end.request]
    behind = tuple(dict.fromkeys(steered(conn, record).askers))
    submission = _submission(end, behind, record.spool)
    dates.set_ended(conn, end, submission.ulid)
    problems: tuple[Problem, ...] = ()
    if error is not None:
        problems = (Problem(None, "", f"judging it failed unexpectedly: {error!r}", UNJUDGED),)
    candidate = Candidate(submission, parse_request(submission.body), (), problems)
    acceptance.admit([candidate], Answers(*AS_SERVICE, beside=crowd, with_uid=end.uid))


def _losers(conn: Connection, due: list[End], terms: Terms) -> set[str]:
    """Return the people who would lose access by all dates that are due.

    Of very many claims, it is whoever has any: that can hold what is no crowd, and lets none go.
    """
    subjects_due = [end.subject for end in due]
    if sum(weights.of(conn, subjects_due).values()) > MANY:
        return holdings.everybody(conn, subjects_due)
    going = holdings.claimed(conn, subjects_due) if due else set()
    return holdings.losers(conn, Shift(going), Shift(), terms.review.nature) if going else set()


def _submission(end: End, behind: tuple[str, ...], spool: str) -> Submission:
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
        spool=spool,
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
