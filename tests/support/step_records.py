"""Steps as the journal has them, for code that decides only on their states."""

from __future__ import annotations

from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.states import StepState
from provisioner.system.ulid import RequestId


def part(user: str, state: str) -> ObjectRecord:
    """Make a user's part of a step; '' for a step's own."""
    return ObjectRecord(key=f"x/y/{user or 'all'}", item=user, state=StepState(state))


def step(name: str, state: str, needs: tuple[str, ...] = (), **users: str) -> StepRecord:
    """Make a step that goes through users, with the state of each; `own` is a step's own object."""
    parts = tuple(part("" if user == "own" else user, is_) for user, is_ in users.items())
    return StepRecord(
        request=RequestId("R"),
        name=name,
        instance="x",
        needs=needs,
        state=StepState(state),
        objects=parts,
    )
