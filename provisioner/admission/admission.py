"""Admission: what is written of requests that come, and what a batch came to.

Promises: a request's row is what was judged of it, and can be judged anew from the row alone.
Leaves out: judging (`candidates`, `duplicates`) and accepting (`intake`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioner.admission.candidates import Candidate, notes, plain_problems
from provisioner.admission.duplicates import Verdict
from provisioner.controls.verbs import Effect
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.records import companion_rows, request_rows, step_rows
from provisioner.objects.states import OPEN, RequestState
from provisioner.policy import policy
from provisioner.policy.newcomers import NEW_USER
from provisioner.policy.review import Ruling
from provisioner.request.documents import Problem
from provisioner.spool.spool import Rejected, Submission
from provisioner.steps import steps

log = logging.getLogger(__name__)

ALARM = "alarm"
"""The kind of event that says that policy refused; the log's line begins with `ALARM policy:`."""

TOGETHER = 256 * 1024
"""Bytes of requests after which a commit takes no more: one of 64 KiB may have 5,000 users."""


@dataclass(slots=True)
class Admitted:
    """What a batch came to, for what is done after the commit.

    taken: all requests of the batch, with the uids of who sent them; manifests: those whose
    manifest is to be followed, with their writers' uids.
    """

    taken: dict[str, int] = field(default_factory=dict)
    manifests: dict[str, int] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    scheduled: list[str] = field(default_factory=list)
    readmitted: list[str] = field(default_factory=list)
    outcomes: dict[str, RequestState] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    companions: list[Submission] = field(default_factory=list)


def together(submissions: Sequence[Submission]) -> Iterator[list[Submission]]:
    """Cut a batch into what is judged and committed at once."""
    some: list[Submission] = []
    for submission in submissions:
        some.append(submission)
        if sum(len(each.body) for each in some) >= TOGETHER:
            yield some
            some = []
    if some:
        yield some


def keep(conn: Connection, candidate: Candidate, state: RequestState) -> None:
    """Keep the manifest of a request that is not over."""
    if candidate.manifest is not None and state in OPEN:
        companion_rows.keep_companion(conn, candidate.submission.ulid, candidate.manifest)


def row(
    candidate: Candidate,
    verdict: Verdict,
    now: float,
    person: str | None,
) -> dict[str, Any]:
    """Make a request's row. person: for whom its writer asks, where that was believed."""
    submission, request, state = candidate.submission, candidate.request, verdict.state
    order = request.order if request else None
    return {
        "id": submission.ulid,
        "name": submission.name,
        "writer": submission.writer,
        "uid": submission.uid,
        "writer_id": request.id if request else None,
        "order_key": order.key if order else None,
        "order_number": order.number if order else None,
        "action": request.action if request else "",
        "subject": request.subject if request else "",
        "digest": submission.sha256,
        "body": submission.body,
        "state": state,
        "not_before": request.not_before.timestamp() if request and request.not_before else None,
        "accepted": now,
        "ended": None if state in OPEN else now,
        "problems": plain_problems(noted(candidate, state, verdict.problems)),
        "on_behalf_of": person,
        "listed": None if candidate.crowd is None else "\n".join(candidate.crowd),
        "duplicate_of": verdict.duplicate_of,
    }


def noted(
    candidate: Candidate, state: RequestState, problems: tuple[Problem, ...]
) -> tuple[Problem, ...]:
    """Add to what is wrong with a request that is taken what is held otherwise than written."""
    if candidate.request is None or state not in OPEN:
        return problems
    return (*problems, *candidate.notes, *notes(candidate.request, candidate.planned))


def told_of(candidate: Candidate, row: Mapping[str, Any]) -> audit.Event:
    """Tell that a request came, and what became of it."""
    reason = candidate.request.reason if candidate.request else None
    return audit.arrival(row, row["name"], reason, candidate.submission.behind)


def submission_of(record: request_rows.Record) -> Submission:
    """Return a recorded request as it was submitted: only the bytes in the journal count."""
    return Submission(
        ulid=record.id,
        name=record.name,
        uid=record.uid,
        writer=record.writer,
        body=record.body,
        sha256=record.digest,
        device=0,
        inode=0,
        size=len(record.body),
    )


def ruled(
    conn: Connection,
    wave: Sequence[tuple[Candidate, RequestState]],
    rulings: Mapping[str, Ruling],
) -> list[audit.Event]:
    """Hold what policy holds, and tell what it did: new users count, refusals are alarms."""
    told: list[audit.Event] = []
    for candidate, state in wave:
        submission = candidate.submission
        ruling = rulings.get(submission.ulid)
        if ruling is None:
            continue
        answer = ruling.answer
        if state == RequestState.HELD:
            request_rows.hold_for_review(conn, submission.ulid)
            text = f"by {request_rows.POLICY}: {answer.why}"
            told.append(audit.Event(submission.ulid, "held", text))
        elif state == RequestState.ACCEPTED:
            told += [audit.Event(submission.ulid, NEW_USER, n, f"user:{n}") for n in ruling.fresh]
        elif state == RequestState.REFUSED and answer.verdict == policy.REFUSE:
            told.append(audit.Event(submission.ulid, ALARM, answer.why))
            log.warning(
                "ALARM policy: %s of %s: %s", submission.name, submission.writer, answer.why
            )
    return told


def unjudged(one: Submission | Rejected) -> Rejected:
    """Set a file aside that cannot be judged."""
    why = (
        "judging it failed unexpectedly, and the service's log has the traceback: report it; to "
        "try again, move the file back into staging"
    )
    return Rejected(one.ulid, one.name, one.uid, one.writer, why, quarantine=True)


def begin(
    conn: Connection,
    new_steps: Sequence[Mapping[str, Any]],
    new_objects: Sequence[Mapping[str, Any]],
    now: float,
    told: Sequence[audit.Event] = (),
) -> None:
    """Write the steps of requests that begin now. told: events that come before."""
    step_rows.insert_steps(conn, [{**row, "started": now} for row in new_steps])
    step_rows.insert_step_objects(conn, new_objects)
    audit.append(conn, [*told, *steps.started(new_steps)], now)
