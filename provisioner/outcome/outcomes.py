"""Outcomes: what a request's result, its receipt and the log's line say, from what the journal has.

Promises: pure. Leaves out: where they lie, and when they are written (`filing`); how they look
(`results`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioner.journal.records import request_rows, step_rows
from provisioner.objects.errors import Error
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.outcome import results
from provisioner.request.documents import Problem

_LONGEST = 500
"""Characters of a line of the log."""


def receipt_name(record: request_rows.Record) -> str:
    """Name a receipt; what only repeats an own id leaves that one's receipt as it is."""
    return record.id if record.duplicate_of is not None else record.writer_id or record.id


def outcome_line(record: request_rows.Record, listed: Sequence[step_rows.StepRecord] = ()) -> str:
    """Tell in one line what became of a request: how long it took, and its first error."""
    what = f"{record.action or record.name} {record.subject}".strip()
    took = (record.ended or record.accepted) - record.accepted
    errors = [
        f"step {step.name}: {error.message}"
        for step in listed
        for error in (step.error, *(part.error for part in step.objects))
        if error
    ]
    errors += [str(_kept(one)) for one in record.problems or ()]
    first = (
        f": {errors[0]}"
        if errors and record.state not in (RequestState.DONE, RequestState.CANCELLED)
        else ""
    )
    line = f"{record.id} {what} of {record.asker}: {record.state} in {took:.2f} s{first}"
    # What a file or a backend said does not get to write lines of its own into the log.
    plain = "".join(one if one.isprintable() else " " for one in line)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _kept(told: Mapping[str, Any]) -> Problem:
    """Make a problem of what the journal keeps of one, which may know more of it."""
    keys = ("line", "key", "message", "expected", "nearest")
    return Problem(**{key: told[key] for key in keys if key in told})


def result_of(
    record: request_rows.Record, listed: Sequence[step_rows.StepRecord], *, again: bool = True
) -> results.Result:
    """Make a request's result from what the journal has of it. again: it can be tried again."""
    again = (
        again
        and record.state in (RequestState.FAILED, RequestState.REFUSED, RequestState.CANCELLED)
        and bool(record.digest)
    )
    return results.Result(
        id=record.id,
        name=record.name,
        action=record.action,
        subject=record.subject,
        writer=record.writer,
        outcome=record.state,
        accepted=record.accepted,
        ended=record.ended or record.accepted,
        steps=tuple(_step_of(step) for step in listed),
        problems=tuple(record.problems or ()),
        retry=f"provisioner retry {record.id}" if again else "",
        on_behalf_of=record.on_behalf_of,
    )


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
    """Choose the error that a step is told by: the first of its objects', with how many more."""
    if len(errors) < 2:
        return next(iter(errors), None)
    first = min(errors, key=lambda error: error.type == "Skipped")
    return replace(first, message=f"{first.message} (and {len(errors) - 1} more objects)")


def _was_so(step: step_rows.StepRecord, part: step_rows.ObjectRecord) -> bool:
    """Return True if an object was as wanted before.

    One that a suspension kept unmade was not, nor one that was adopted as it is, and differs.
    """
    unmade = step.routed and part.read_back is not None and not part.read_back.get("present")
    return not part.changed and not part.error and not unmade


_OBSERVED = "observed"
"""What a receipt says of a request that waits because the service only observes."""


def receipt_of(
    record: request_rows.Record,
    listed: Sequence[step_rows.StepRecord] = (),
    *,
    observing: bool = False,
) -> Mapping[str, Any]:
    """Say in a few lines how a request stands, for its writer.

    listed: its steps; of a request that is done their names and handlers alone; observing: the
    service only observes.
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
        "problems": record.problems or [],
        "steps": [_named(s) if record.state == RequestState.DONE else _told_of(s) for s in listed],
    }


def _named(step: step_rows.StepRecord) -> dict[str, Any]:
    named = {"step": step.name, "handler": step.instance, "state": step.state}
    return {**named, "withdraws": True} if step.withdraws else named


def _told_of(step: step_rows.StepRecord) -> Mapping[str, Any]:
    """Say how a step stands, for each user where it has a part for each."""
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
            }
            for user, error in wrong
            if error
        ],
    }
