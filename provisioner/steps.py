"""Steps: which of a request are due, over or left out, and when the request has its outcome.

Promises: a step becomes due when all it needs is done, with parameters bound to what was read back
of the objects before it; all inside the caller's transaction. Leaves out: files and lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from provisioner import agenda, audit, ledger, records, remarks, stepbook
from provisioner.contract import Fault, InvalidRequest, Key, Scalar, State, Want
from provisioner.routing import Step
from provisioner.tables import IDS, chunks, objects, step_objects, steps

Outputs = Mapping[tuple[str, str], Mapping[str, Scalar]]
"""What later steps may use, by (step, item)."""

Bind = Callable[[records.Record, str, Outputs], Step]
"""Render a step of a request anew with outputs of earlier ones."""

OutputsOf = Callable[[str, State], Mapping[str, Scalar]]
"""Ask the instance's handler for the outputs of a state."""

OVER = ("done", "failed", "skipped", "cancelled")


@dataclass(frozen=True, slots=True)
class Progress:
    """How steps find what they are bound with."""

    bind: Bind
    outputs_of: OutputsOf


def describe(fault: Fault, key: Key = "") -> dict[str, str]:
    """Put a fault into words that the journal and the results keep."""
    words = {"type": type(fault).__name__, "message": fault.message, "advice": fault.advice}
    if key:
        words["object"] = key
    if isinstance(fault, InvalidRequest) and fault.field:
        words["field"] = fault.field
    return words


def rows_of(
    request: str, planned: Sequence[Step]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make the rows of a routed request's steps and of their objects.

    A step with no needs is due from the start; every other waits.
    """
    step_rows, object_rows = [], []
    for ordinal, step in enumerate(planned):
        state = "waiting" if waits(step) else "due"
        step_rows.append(
            _step_row(request, step.name, ordinal, step.instance, step.needs, True, state)
        )
        for claim in step.claims:
            object_rows.append(
                _object_row(request, step.name, claim.key, claim.item, claim.claimant, state)
            )
    return step_rows, object_rows


def started(step_rows: Sequence[Mapping[str, Any]]) -> list[audit.Event]:
    """Tell which steps of each request are due from the start."""
    names: dict[str, list[str]] = {}
    for row in step_rows:
        if row["state"] == "due":
            names.setdefault(row["request"], []).append(row["name"])
    return [audit.Event(request, "started", ", ".join(some)) for request, some in names.items()]


def waits(step: Step) -> bool:
    """Say whether a step has to wait for another."""
    return bool(step.needs or step.late)


def rows_of_keys(
    request: str, subject: str, keys: Mapping[Key, str], prefix: str = "", first: int = 0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make the rows of steps that no route gives: one for each instance of some objects.

    keys: object -> instance; prefix: goes before the instance in the step's name; first: the
    ordinal of the first one.
    """
    instances = sorted(set(keys.values()))
    step_rows = [
        _step_row(request, prefix + instance, ordinal, instance, (), False, "due")
        for ordinal, instance in enumerate(instances, first)
    ]
    object_rows = [
        _object_row(request, prefix + instance, key, "", subject, "due")
        for key, instance in keys.items()
    ]
    return step_rows, object_rows


def _step_row(
    request: str,
    name: str,
    ordinal: int,
    instance: str,
    needs: Sequence[str],
    routed: bool,
    state: str,
) -> dict[str, Any]:
    return {
        "request": request,
        "name": name,
        "ordinal": ordinal,
        "instance": instance,
        "needs": list(needs),
        "routed": routed,
        "state": state,
    }


def _object_row(
    request: str, step: str, key: Key, item: str, claimant: str, state: str
) -> dict[str, Any]:
    return {
        "request": request,
        "step": step,
        "key": key,
        "item": item,
        "claimant": claimant,
        "state": state,
        "changed": [],
    }


def stamp(conn: Connection, ids: Collection[str]) -> None:
    """Tell due objects of steps which generation of the object they wait for."""
    for part in chunks(ids):
        conn.execute(_STAMP, {"b_ids": part})


# Statements of the hot path are built once: building one costs more than SQLite takes for it.
_GENERATION = (
    select(objects.c.generation).where(objects.c.key == step_objects.c.key).scalar_subquery()
)
_STAMP = (
    update(step_objects)
    .where(
        step_objects.c.request.in_(IDS),
        step_objects.c.state == "due",
        step_objects.c.generation.is_(None),
    )
    .values(generation=_GENERATION)
)
_SOME = (
    select(step_objects.c.request)
    .where(step_objects.c.request == steps.c.request, step_objects.c.step == steps.c.name)
    .exists()
)
_CLOSE_HOLLOW = (
    update(steps)
    .where(steps.c.request.in_(IDS), steps.c.state == "due", ~_SOME)
    .values(state="done", ended=bindparam("b_now"))
)


def advance(
    conn: Connection, ids: Collection[str], progress: Progress, now: float
) -> dict[str, str]:
    """Make steps due whose needs are met; return the outcome of requests that are over.

    The outcomes are written. Requests that are held are left as they are.
    """
    if not ids:
        return {}
    loaded = records.load(conn, ids)
    outlines = stepbook.outlines_of(conn, ids)
    # Whose steps only end one by one may have tens of thousands of objects: they are left unread.
    moving = [who for who, listed in outlines.items() if _moves(loaded[who], listed)]
    found = stepbook.steps_of(conn, moving)
    outcomes: dict[str, str] = {}
    for who, listed in found.items():
        states = {step.name: step.state for step in listed}
        while ready := _ready(listed, states):
            for step in ready:
                states[step.name] = _begin(conn, loaded[who], step, listed, states, progress, now)
        if all(state in OVER for state in states.values()):
            done = all(state == "done" for state in states.values())
            outcomes[who] = "done" if done else "failed"
    _remark(conn, outcomes, loaded, found, progress)
    records.end_requests(conn, outcomes, now)
    return outcomes


def _moves(record: records.Record, listed: Sequence[stepbook.StepRecord]) -> bool:
    """Say whether a request has a step to begin, or is over."""
    states = {step.name: step.state for step in listed}
    if record.state not in ("accepted", "deferred"):
        return False
    return bool(_ready(listed, states)) or all(state in OVER for state in states.values())


def _ready(
    listed: Sequence[stepbook.StepRecord], states: Mapping[str, str]
) -> list[stepbook.StepRecord]:
    """List the waiting steps all of whose needs are over."""
    return [
        step
        for step in listed
        if states[step.name] == "waiting" and all(states[need] in OVER for need in step.needs)
    ]


def _remark(
    conn: Connection,
    outcomes: dict[str, str],
    loaded: Mapping[str, records.Record],
    found: Mapping[str, Sequence[stepbook.StepRecord]],
    progress: Progress,
) -> None:
    """Note what else is true of requests that are done; those that a newer one replaced are not."""

    def asks(who: str, name: str) -> Mapping[tuple[Key, str], Want | None]:
        return asked(conn, loaded[who], found[who], name, progress)

    done = {who: found[who] for who, outcome in outcomes.items() if outcome == "done"}
    for who, remark in remarks.remarks(conn, done, asks).items():
        if remark.newer:
            outcomes[who] = "superseded"
        records.set_problems(
            conn, who, [{"line": None, "key": "", "message": text} for text in remark.notes]
        )


def asked(
    conn: Connection,
    record: records.Record,
    listed: Sequence[stepbook.StepRecord],
    name: str,
    progress: Progress,
) -> Mapping[tuple[Key, str], Want | None]:
    """Say what one of a request's steps asks for, by (key, claimant); nothing where none knows."""
    step = next(step for step in listed if step.name == name)
    try:
        outputs = _outputs(conn, step, listed, progress.outputs_of)
        bound = progress.bind(record, name, outputs)
    except Fault:
        return {}
    return {(claim.key, claim.claimant): claim.want for claim in bound.claims}


def _begin(
    conn: Connection,
    record: records.Record,
    step: stepbook.StepRecord,
    listed: Sequence[stepbook.StepRecord],
    states: Mapping[str, str],
    progress: Progress,
    now: float,
) -> str:
    """Make one step due, or say why it cannot be; return its new state."""
    missing = [need for need in step.needs if states[need] != "done"]
    if missing:
        why = {
            "type": "Skipped",
            "message": f"needs {', '.join(missing)}, which did not get done",
            "advice": "mend that step; `provisioner retry` does this one too",
        }
        return _set(conn, record.id, step.name, "skipped", now, error=why)
    try:
        bound = progress.bind(record, step.name, _outputs(conn, step, listed, progress.outputs_of))
        unknown = sorted(bound.late)
        if unknown or any(claim.want is None for claim in bound.claims):
            raise InvalidRequest(
                f"step {step.name} takes what the steps it needs did not give: "
                f"{', '.join(unknown) or 'an unknown value'}",
                advice="look at the step's `with` in the configuration's routes",
            )
        others = {claim.key for claim in bound.claims} ^ {part.key for part in step.objects}
        if others:
            raise InvalidRequest(
                f"step {step.name} speaks of other objects than when the request was accepted: "
                f"{', '.join(sorted(others)[:5])}",
                advice="the configuration changed meanwhile: send the request again",
            )
    except Fault as fault:
        why = _suspended(conn, record, step, fault)
        return _set(conn, record.id, step.name, "failed", now, error=why)
    entries = [ledger.Entry(c.key, c.claimant, bound.instance, c.want) for c in bound.claims]
    ledger.bind(conn, entries, record.id)
    keys = {entry.key for entry in entries}
    touched = agenda.touch(conn, keys, now)
    state = _set(conn, record.id, step.name, "due" if touched else "done", now)
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == record.id, step_objects.c.step == step.name)
        .values(state="due", generation=None)
    )
    if touched < len(keys):
        pass_over(conn, record.id)
    stamp(conn, [record.id])
    return state


def pass_over(conn: Connection, request: str) -> None:
    """Call the due objects over that were let be (`ledger.let_be`): nobody wants them any more."""
    there = select(objects.c.key).where(objects.c.key == step_objects.c.key).exists()
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.state == "due", ~there)
        .values(state="done")
    )


def _suspended(
    conn: Connection, record: records.Record, step: stepbook.StepRecord, fault: Fault
) -> dict[str, str]:
    """Say why a step cannot be bound: where a suspension keeps its subject unmade, that is why."""
    mine = (step_objects.c.request == record.id) & (step_objects.c.step == step.name)
    claimants = conn.scalars(select(step_objects.c.claimant).where(mine).distinct())
    subjects = sorted({name for who in claimants for name in ledger.parts(who)})
    closed = remarks.suspension(conn, subjects)
    if not closed:
        return describe(fault)
    return {
        "type": "NotReady",
        "message": f"{closed}: what is not there is not made meanwhile",
        "advice": f"resume it, then `provisioner retry {record.id}`",
    }


def _closed(conn: Connection, request: str, key: Key) -> bool:
    """Say whether a suspension closes what a request claims of an object."""
    mine = (step_objects.c.request == request) & (step_objects.c.key == key)
    claimants = set(conn.scalars(select(step_objects.c.claimant).where(mine)))
    return bool(ledger.suspended_parts(conn, claimants))


def _outputs(
    conn: Connection,
    step: stepbook.StepRecord,
    listed: Sequence[stepbook.StepRecord],
    outputs_of: OutputsOf,
) -> dict[tuple[str, str], dict[str, Scalar]]:
    """Collect what the steps before gave, from the objects' states as last read."""
    before = [other for other in listed if other.state == "done" or other.name in step.needs]
    read = agenda.states(conn, {part.key for other in before for part in other.objects})
    found: dict[tuple[str, str], dict[str, Scalar]] = {}
    for other in before:
        for part in other.objects:
            state = read.get(part.key)
            absent = state is not None and not state.get("present")
            if absent and _closed(conn, step.request, part.key):
                continue  # a suspension kept it from being made: it gives nothing yet
            given = found.setdefault((other.name, part.item), {})
            if state is not None:
                given.update(outputs_of(other.instance, state))
    return found


def _set(
    conn: Connection,
    request: str,
    name: str,
    state: str,
    now: float,
    *,
    error: Mapping[str, str] | None = None,
) -> str:
    values: dict[str, Any] = {"state": state, "error": error}
    if state in OVER:
        values["ended"] = now
    if state == "due":
        values["started"] = now
    conn.execute(
        update(steps).where(steps.c.request == request, steps.c.name == name).values(**values)
    )
    if state == "due":
        told = audit.Event(request, "started", name)
    else:
        why = f": {error['message']}" if error else ""
        told = audit.Event(request, "step", f"{name}: {state}{why}")
    audit.append(conn, [told], now)
    return state


def close_hollow(conn: Connection, ids: Collection[str], now: float) -> None:
    """End the due steps of requests that speak of no object."""
    for part in chunks(ids):
        conn.execute(_CLOSE_HOLLOW, {"b_ids": part, "b_now": now})
