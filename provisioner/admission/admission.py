"""Admission: the row and the events of a request, made from its verdict.

Promises: a request's row contains all that was judged, so that it can be judged again from the row
alone. Leaves out: judging (`candidates`, `duplicates`) and writing (`acceptance`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from provisioner.admission.candidates import Candidate, notes, plain_problems
from provisioner.admission.duplicates import Verdict
from provisioner.controls.effects import Effect
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.records import request_rows
from provisioner.journal.records.changes import HELD, Changes
from provisioner.objects.states import OPEN, RequestState
from provisioner.plain.values import value
from provisioner.policy import policy
from provisioner.policy.hourly import NEW_USER
from provisioner.policy.review import Ruling
from provisioner.request.documents import Problem
from provisioner.spool.spool import Rejected, Submission
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

ALARM = "alarm"
"""The kind of event about a refusal by policy; the log's line begins with `ALARM policy:`."""


@value(frozen=True, slots=True)
class Judged:
    """A candidate with its verdict. ruling: policy's, if policy was asked."""

    candidate: Candidate
    verdict: Verdict
    ruling: Ruling | None = None

    @property
    def id(self) -> RequestId:
        """The request's id."""
        return self.candidate.submission.ulid

    @property
    def state(self) -> RequestState:
        """The state that the request gets."""
        return self.verdict.state


def row(judged: Judged, now: float) -> dict[str, Any]:
    """Return a request's row."""
    candidate, state, ruling = judged.candidate, judged.state, judged.ruling
    submission, request = candidate.submission, candidate.request
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
        "ends": request.ends.timestamp() if request and request.ends else None,
        "accepted": now,
        "ended": None if state in OPEN else now,
        "problems": plain_problems(noted(judged)),
        "on_behalf_of": ruling.on_behalf_of if ruling is not None else None,
        "listed": None if candidate.crowd is None else "\n".join(candidate.crowd),
        "duplicate_of": judged.verdict.duplicate_of,
        "replaces": ruling.replaces if ruling is not None else None,
        "spool": submission.spool,
        "follows": submission.follows,
    }


def noted(judged: Judged) -> tuple[Problem, ...]:
    """Return the problems of a request, and how it is followed differently from how it is
    written."""
    candidate, problems = judged.candidate, judged.verdict.problems
    if candidate.request is None or judged.state not in OPEN:
        return problems
    return (*problems, *candidate.notes, *notes(candidate.request, candidate.planned))


def notes_of(effect: Effect) -> list[dict[str, Any]] | None:
    """Return the notes of a verb as the journal stores them; the first says if it did nothing."""
    notes = plain_problems([Problem(None, "", text) for text in effect.notes])
    if notes and effect.unmatched:
        notes[0]["kind"] = request_rows.UNMATCHED
    return notes


def arrival_of(candidate: Candidate, row: Mapping[str, Any]) -> audit.Event:
    """Return the event of a request that arrived, with its state."""
    reason = candidate.request.reason if candidate.request else None
    given = candidate.submission
    return audit.arrival(row, row["name"], reason, given.behind, signed=given.signed)


def submission_of(record: request_rows.Record) -> Submission:
    """Return a recorded request as it was submitted; only the bytes in the journal count."""
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
        spool=record.spool,
    )


def ruled(judged: Judged) -> list[audit.Event]:
    """Return the events about policy's answer: new users are counted, a refusal is an alarm."""
    if judged.ruling is None:
        return []
    answer = judged.ruling.answer
    if judged.state == RequestState.HELD:
        losing, left = judged.ruling.losing, judged.ruling.left
        facts = Changes(losing, left=left).facts() if losing or left else None
        why = f"by {request_rows.POLICY}: {answer.why}"
        return [audit.Event(judged.id, HELD, why, None, facts)]
    if judged.state == RequestState.ACCEPTED:
        fresh = judged.ruling.fresh
        return [audit.Event(judged.id, NEW_USER, name, f"user:{name}") for name in fresh]
    if judged.state == RequestState.REFUSED and answer.verdict == policy.REFUSE:
        sent = judged.candidate.submission
        log.warning("ALARM policy: %s of %s: %s", sent.name, sent.writer, answer.why)
        return [audit.Event(judged.id, ALARM, answer.why)]
    return []


UNJUDGED = "report it with the traceback in the service's log"
"""What to do about a request that could not be judged."""


def set_aside(
    conn: Connection, ulid: RequestId, states: Collection[RequestState], why: Problem, now: float
) -> bool:
    """Hold a request until somebody releases it: its sender may, as if they had held it.

    Return False if it is in none of some states any more.
    """
    if not request_rows.set_state(conn, [ulid], states, RequestState.HELD):
        return False
    request_rows.hold(conn, ulid, request_rows.load(conn, [ulid])[ulid].writer)
    request_rows.set_problems(conn, ulid, plain_problems((why,)))
    audit.append(conn, [audit.Event(ulid, HELD, f"by the service: {why.message}")], now)
    return True


def unjudged(file: Submission | Rejected) -> Rejected:
    """Return a file that cannot be judged as one to set aside."""
    why = (
        f"judging it failed unexpectedly: {UNJUDGED}; to try again, move the file back into staging"
    )
    return Rejected(file.ulid, file.name, file.uid, file.writer, why, quarantine=True)
