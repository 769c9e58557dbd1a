"""Outcomes: a request's result, receipt, place and line in the log, made from the journal.

Promises: pure. Leaves out: moving a file to its place, and when each is written (`filing`); how
they look (`results`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioner.contract import Fault, Json, Scalar, State
from provisioner.journal.records import request_rows, step_rows
from provisioner.objects.errors import Error
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.outcome import results
from provisioner.request.documents import Problem
from provisioner.request.subjects import glimpse
from provisioner.spool.spool import Rejected

OutputsOf = Callable[[str, State], Mapping[str, Scalar]]
"""Asks an instance's handler for the outputs of a state."""

PLACE = {
    RequestState.ACCEPTED: "active",
    RequestState.DEFERRED: "deferred",
    RequestState.SCHEDULED: "deferred",
    RequestState.HELD: "held",
    RequestState.DONE: "done",
    RequestState.SUPERSEDED: "done",
    RequestState.FAILED: "failed",
    RequestState.REFUSED: "failed",
    RequestState.CANCELLED: "failed",
}
"""The directory for the file of a request in each state; `place_of` has the exceptions."""

_LONGEST = 500
"""The most characters of a line of the log."""


def receipt_name(record: request_rows.Record) -> str:
    """Return the name of a receipt. A request that repeats an own id does not use that name."""
    return record.id if record.duplicate_of is not None else record.writer_id or record.id


def place_of(record: request_rows.Record) -> str:
    """Return the directory for a request's file.

    A file that was never read may be set aside; what failed and was put right is done with.
    """
    if record.set_aside:
        return "quarantine"
    return PLACE[RequestState.DONE] if record.fixed_by is not None else PLACE[record.state]


def unread(rejected: Rejected, now: float, spool: str) -> dict[str, Any]:
    """Return the row of a file that was not even read. spool: the id of that where it was taken."""
    problem: dict[str, Any] = {"line": None, "key": "", "message": rejected.reason}
    return {
        "id": rejected.ulid,
        "name": rejected.name,
        "writer": rejected.writer,
        "uid": rejected.uid,
        "action": "",
        "subject": "",
        "digest": "",
        "body": b"",
        "state": RequestState.REFUSED,
        "accepted": now,
        "ended": now,
        "problems": [problem],
        "set_aside": rejected.quarantine,
        "spool": spool,
    }


def outcome_line(record: request_rows.Record, listed: Sequence[step_rows.StepRecord] = ()) -> str:
    """Return the outcome of a request in one line: how long it took, and its first error."""
    what = f"{record.action or record.name} {record.subject}".strip()
    took = (record.ended or record.accepted) - record.accepted
    errors = [
        f"step {step.name}: {error.message}"
        for step in listed
        for error in (step.error, *(part.error for part in step.objects))
        if error
    ]
    errors += [str(_problem_of(problem)) for problem in record.problems or ()]
    first = (
        f": {errors[0]}"
        if errors and record.outcome not in (RequestState.DONE, RequestState.CANCELLED)
        else ""
    )
    line = f"{record.id} {what} of {record.asker}: {record.outcome} in {took:.2f} s{first}"
    # A text from a file or a backend must not add lines of its own to the log.
    plain = "".join(character if character.isprintable() else " " for character in line)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _problem_of(stored: Mapping[str, Any]) -> Problem:
    """Return a problem from what the journal stores of one, which may be more."""
    keys = ("line", "key", "message", "expected", "nearest")
    return Problem(**{key: stored[key] for key in keys if key in stored})


def result_of(
    record: request_rows.Record, listed: Sequence[step_rows.StepRecord], *, again: bool = True
) -> results.Result:
    """Return a request's result from what the journal has. again: it can be retried."""
    again = (
        again
        and record.state in (RequestState.FAILED, RequestState.REFUSED, RequestState.CANCELLED)
        and bool(record.digest)
        and record.fixed_by is None
    )
    return results.Result(
        id=record.id,
        name=record.name,
        action=record.action,
        subject=record.subject,
        writer=record.writer,
        outcome=record.outcome,
        accepted=record.accepted,
        ended=record.ended or record.accepted,
        steps=tuple(_step_of(step) for step in listed),
        problems=tuple(record.problems or ()),
        retry=f"provisioner retry {record.id}" if again else "",
        on_behalf_of=record.on_behalf_of,
        fixed_by=record.fixed_by,
        about="" if record.action else _about(record),
    )


def _about(record: request_rows.Record) -> str:
    """Return what a refused file seems to be about; '' if it cannot be read."""
    seen = glimpse(record.body, record.listed)
    return " ".join(filter(None, (seen.action, seen.subject)))


def _step_of(step: step_rows.StepRecord) -> results.StepResult:
    return results.StepResult(
        name=step.name,
        handler=step.instance,
        state=step.state,
        changed=tuple(f"{p.key}: {text}" for p in step.objects for text in p.changed),
        already=tuple(
            p.key for p in step.objects if p.state == StepState.DONE and _was_so(step, p)
        ),
        read_back={p.key: p.read_back for p in step.objects if p.read_back is not None},
        started=step.started,
        ended=step.ended,
        error=step.error or _error_of([part.error for part in step.objects if part.error]),
    )


def _error_of(errors: Sequence[Error]) -> Error | None:
    """Return the first error of a step's objects, with the number of the others."""
    if len(errors) < 2:
        return next(iter(errors), None)
    first = min(errors, key=lambda error: error.type == "Skipped")
    more = "1 more object" if len(errors) == 2 else f"{len(errors) - 1} more objects"
    return replace(first, message=f"{first.message} (and {more})")


def _was_so(step: step_rows.StepRecord, part: step_rows.ObjectRecord) -> bool:
    """Return True if an object was as wanted before.

    This excludes one that a suspension kept from being made, and an adopted one that differs.
    """
    unmade = step.routed and part.read_back is not None and not part.read_back.get("present")
    return not part.changed and not part.error and not unmade


_OBSERVED = "observed"
"""The state in the receipt of a request that waits because the service only observes."""


def receipt_of(
    record: request_rows.Record,
    listed: Sequence[step_rows.StepRecord] = (),
    outputs_of: OutputsOf = lambda instance, state: {},
    *,
    uses: Mapping[str, Mapping[str, Json]] | None = None,
    observing: bool = False,
    closed_by: str = "",
) -> Mapping[str, Any]:
    """Return a request's state in a few lines, for its writer.

    listed: its steps; if the request is done, only their names, handlers, outputs and use appear;
    uses: by step; observing: the service only observes; closed_by: what its writer may read of the
    request that ended its wait, '' for nothing.
    """
    waits = observing and record.state in RUNNING
    return {
        "id": record.id,
        "request": record.name,
        "action": record.action,
        "subject": record.subject,
        "digest": record.digest,
        "state": _OBSERVED if waits else record.state,
        "accepted": results.moment(record.accepted),
        "ended": results.moment(record.ended) if record.ended else None,
        **({results.closing(record.problems): closed_by} if closed_by else {}),
        "problems": record.problems or [],
        "steps": [
            _made(s, outputs_of, uses or {}) if record.state == RequestState.DONE else _states_of(s)
            for s in listed
        ],
    }


def _named(step: step_rows.StepRecord) -> dict[str, Any]:
    named = {"step": step.name, "handler": step.instance, "state": step.state}
    return {**named, "withdraws": True} if step.withdraws else named


def _made(
    step: step_rows.StepRecord, outputs_of: OutputsOf, uses: Mapping[str, Mapping[str, Json]]
) -> dict[str, Any]:
    """Return a step that is done, with what its shared objects are called, where they are, and what
    is used of them."""
    outputs: dict[str, Scalar] = {}
    for part in step.objects:
        if not part.item and part.read_back is not None and not step.withdraws:
            try:
                outputs.update(outputs_of(step.instance, part.read_back))
            except Fault:
                continue  # a receipt says what became of the request, whatever a handler says
    there = {name: value for name, value in outputs.items() if value is not None}
    made = {**_named(step), "outputs": results.shown(there)} if there else _named(step)
    return {**made, "use": uses[step.name]} if step.name in uses else made


def _states_of(step: step_rows.StepRecord) -> Mapping[str, Any]:
    """Return the state of a step, by user if it has parts of several."""
    users: dict[str, str] = {}
    for part in step.objects:
        if part.item and users.get(part.item, StepState.DONE) == StepState.DONE:
            users[part.item] = part.state
    wrong = [("", step.error), *((part.item, part.error) for part in step.objects)]
    return {
        **_named(step),
        "needs": list(step.needs),
        "users": users,
        "problems": [
            {
                "user": user,
                "type": error.type,
                "message": error.message,
                "advice": error.advice,
                "adoptable": error.adoptable,
            }
            for user, error in wrong
            if error
        ],
    }
