"""Binding: making a step's parameters, and so its claims, from what earlier steps read back.

Promises: a bound step names exactly the objects for which the request was accepted; otherwise a
fault says why. Leaves out: when a step may begin (`readiness`), and making it due (`advance`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from provisioner.contract import Claim, Fault, InvalidRequest, Key, Scalar, State, Want
from provisioner.journal.records import request_rows
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.states import StepState
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request
from provisioner.routing.rendering import Step
from provisioner.system.ulid import RequestId

Outputs = Mapping[tuple[str, str], Mapping[str, Scalar]]
"""Values that later steps may use, by (step, item)."""

Users = Collection[str] | None
"""The users whose parts of a step are bound; None for the whole step."""

Bind = Callable[[request_rows.Record, str, Outputs, Users], Step]
"""Renders a step of a request again, with the outputs of earlier ones."""

OutputsOf = Callable[[str, State], Mapping[str, Scalar]]
"""Asks the instance's handler for the outputs of a state."""


MergeOf = Callable[[str, Key, Sequence[Claim]], Want]
"""Asks the instance's handler to merge the claims on an object."""


RemarksOf = Callable[[str, Key, Sequence[Claim], State], Sequence[str]]
"""Asks the instance's handler for its remarks on a claimed object, given its state."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What binding needs: outputs, and how claims merge with those of others.

    remarking: the instances whose handlers have remarks; remember: caches a parsed request for its
    later steps.
    """

    bind: Bind
    outputs_of: OutputsOf
    merge_of: MergeOf
    remarks_of: RemarksOf
    remarking: Collection[str]
    remember: Callable[[RequestId, Request], None]


States = Callable[[Collection[Key]], Mapping[Key, State]]
"""Returns the states of objects as last read."""


def bound(
    states: States,
    record: request_rows.Record,
    step: StepRecord,
    listed: Sequence[StepRecord],
    parts: Sequence[ObjectRecord],
    progress: Progress,
) -> Step:
    """Bind some objects of a step.

    listed: all steps of the request; parts: the objects, of the whole step or of some users. Raises
    Fault if the parameters are wrong or unknown, or name other objects.
    """
    users = {part.item for part in parts} or None
    given = _outputs(states, step, listed, progress.outputs_of, users)
    made = progress.bind(record, step.name, given, users)
    if made.late or any(claim.want is None for claim in made.claims):
        raise InvalidRequest(
            f"step {step.name} needs values that the earlier steps did not give: "
            f"{', '.join(sorted(made.late)) or 'an unknown value'}",
            advice="look at the step's `with` in the configuration's routes",
        )
    others = {claim.key for claim in made.claims} ^ {part.key for part in parts}
    if others:
        raise InvalidRequest(
            f"step {step.name} names other objects than when the request was accepted: "
            f"{', '.join(sorted(others)[:5])}",
            advice="the configuration has changed since: send the request again",
        )
    return made


def wants_of(
    states: States,
    record: request_rows.Record,
    listed: Sequence[StepRecord],
    name: str,
    progress: Progress,
    users: Users = None,
) -> Mapping[tuple[Key, str], Want | None]:
    """Return the wants of one step of a request, by (key, claimant); empty if they are unknown.

    users: of these alone; None: of all.
    """
    step = next(step for step in listed if step.name == name)
    try:
        given = _outputs(states, step, listed, progress.outputs_of, users)
        made = progress.bind(record, name, given, users)
    except (Fault, InvalidDocument):  # or the request is in an older format
        return {}
    return {(claim.key, claim.claimant): claim.want for claim in made.claims}


def _outputs(
    states: States,
    step: StepRecord,
    listed: Sequence[StepRecord],
    outputs_of: OutputsOf,
    users: Users,
) -> dict[tuple[str, str], dict[str, Scalar]]:
    """Collect the outputs of earlier steps from the states of objects as last read."""
    before = [
        (other, part)
        for other in listed
        if other.state == StepState.DONE or other.name in step.needs
        for part in other.objects
        if users is None or not part.item or part.item in users
    ]
    read = states({part.key for _, part in before})
    outputs: dict[tuple[str, str], dict[str, Scalar]] = {}
    for other, part in before:
        state = read.get(part.key)
        if state is not None and not state.get("present"):
            continue  # a suspension kept it from being made, or it is gone: it has no outputs
        given = outputs.setdefault((other.name, part.item), {})
        if state is not None:
            given.update(outputs_of(other.instance, state))
    return outputs
