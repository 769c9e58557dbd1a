"""Binding: a step's parameters, and so its claims, made of what earlier steps read back.

Promises: what is bound speaks of the objects that the request was accepted for, or it is a fault
that says why. Leaves out: when a step may begin (`readiness`), and making it due (`advance`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from provisioner.contract import Claim, Fault, InvalidRequest, Key, Scalar, State, Want
from provisioner.journal.journal import Connection
from provisioner.journal.records import object_rows, request_rows
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.states import StepState
from provisioner.request.request import Request
from provisioner.routing.rendering import Step

Outputs = Mapping[tuple[str, str], Mapping[str, Scalar]]
"""What later steps may use, by (step, item)."""

Users = Collection[str] | None
"""The users whose parts of a step are bound; None: the whole step."""

Bind = Callable[[request_rows.Record, str, Outputs, Users], Step]
"""Render a step of a request anew with outputs of earlier ones."""

OutputsOf = Callable[[str, State], Mapping[str, Scalar]]
"""Ask the instance's handler for the outputs of a state."""


MergeOf = Callable[[str, Key, Sequence[Claim]], Want]
"""Ask the instance's handler what claims on an object come to."""


RemarksOf = Callable[[str, Key, Sequence[Claim], State], Sequence[str]]
"""Ask the instance's handler what is to be said of an object that is claimed, as it is."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How steps find what they are bound with, and what their claims come to beside others'.

    remarking: the instances whose handlers have remarks; remember: keeps a parsed request at hand
    for its later steps.
    """

    bind: Bind
    outputs_of: OutputsOf
    merge_of: MergeOf
    remarks_of: RemarksOf
    remarking: Collection[str]
    remember: Callable[[str, Request], None]


def bound(
    conn: Connection,
    record: request_rows.Record,
    step: StepRecord,
    listed: Sequence[StepRecord],
    parts: Sequence[ObjectRecord],
    progress: Progress,
) -> Step:
    """Bind some objects of a step.

    listed: all steps of the request; parts: the objects, all of the step or all of some users.
    Raises Fault where the parameters do not suit, are not known, or name other objects.
    """
    users = {part.item for part in parts} or None
    given = _outputs(conn, step, listed, progress.outputs_of, users)
    made = progress.bind(record, step.name, given, users)
    if made.late or any(claim.want is None for claim in made.claims):
        raise InvalidRequest(
            f"step {step.name} takes what the steps it needs did not give: "
            f"{', '.join(sorted(made.late)) or 'an unknown value'}",
            advice="look at the step's `with` in the configuration's routes",
        )
    others = {claim.key for claim in made.claims} ^ {part.key for part in parts}
    if others:
        raise InvalidRequest(
            f"step {step.name} speaks of other objects than when the request was accepted: "
            f"{', '.join(sorted(others)[:5])}",
            advice="the configuration changed meanwhile: send the request again",
        )
    return made


def asked(
    conn: Connection,
    record: request_rows.Record,
    listed: Sequence[StepRecord],
    name: str,
    progress: Progress,
) -> Mapping[tuple[Key, str], Want | None]:
    """Say what one of a request's steps asks for, by (key, claimant); nothing where none knows."""
    step = next(step for step in listed if step.name == name)
    try:
        given = _outputs(conn, step, listed, progress.outputs_of, None)
        made = progress.bind(record, name, given, None)
    except Fault:
        return {}
    return {(claim.key, claim.claimant): claim.want for claim in made.claims}


def _outputs(
    conn: Connection,
    step: StepRecord,
    listed: Sequence[StepRecord],
    outputs_of: OutputsOf,
    users: Users,
) -> dict[tuple[str, str], dict[str, Scalar]]:
    """Collect what the steps before gave, from the objects' states as last read."""
    before = [
        (other, part)
        for other in listed
        if other.state == StepState.DONE or other.name in step.needs
        for part in other.objects
        if users is None or not part.item or part.item in users
    ]
    read = object_rows.states(conn, {part.key for _, part in before})
    found: dict[tuple[str, str], dict[str, Scalar]] = {}
    for other, part in before:
        state = read.get(part.key)
        if state is not None and not state.get("present"):
            continue  # a suspension kept it from being made, or it is gone: it gives nothing
        given = found.setdefault((other.name, part.item), {})
        if state is not None:
            given.update(outputs_of(other.instance, state))
    return found
