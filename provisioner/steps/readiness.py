"""Readiness: which objects of a step may begin, and which never will.

Promises: pure. A step with users begins user by user, when what it needs is done for that user: a
user who is not ready makes nobody else wait. Any other step begins as a whole. Leaves out: the
moves that follow (`moves`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.states import OVER, StepState


@dataclass(frozen=True, slots=True)
class Ready:
    """What can happen with a step now.

    begin: objects that may begin; barred: the needs that did not get done, by the user for whom
    nothing begins any more; whole: this is so for the whole step, which may have no objects.
    """

    begin: tuple[ObjectRecord, ...]
    barred: Mapping[str, tuple[str, ...]]
    whole: bool


def of(step: StepRecord, steps: Mapping[str, StepRecord]) -> Ready | None:
    """Return which parts of a step may begin or never will; None if nothing changes now.

    steps: all of the request, by name.
    """
    if step.state not in (StepState.WAITING, StepState.DUE):
        return None
    needs = [_Need(steps[name]) for name in step.needs]
    waiting = [part for part in step.objects if part.state == StepState.WAITING]
    if not step.objects:
        return (
            _ready(step, [], {"": _stand(needs, "")}) if step.state == StepState.WAITING else None
        )
    by_user: dict[str, list[ObjectRecord]] = {}
    for part in waiting:
        by_user.setdefault(part.item, []).append(part)
    return _ready(step, waiting, {user: _stand(needs, user) for user in by_user})


def outcome(parts: Iterable[ObjectRecord]) -> StepState | None:
    """Return the state of a step whose objects are all over; None if some are not."""
    states = {StepState(part.state) for part in parts}
    if not states.issubset(OVER):
        return None
    worst = (StepState.CANCELLED, StepState.FAILED, StepState.SKIPPED, StepState.DONE)
    return min(states, key=worst.index, default=StepState.DONE)


def _ready(
    step: StepRecord, waiting: Sequence[ObjectRecord], stands: Mapping[str, _Standing]
) -> Ready | None:
    begin = tuple(part for part in waiting if stands[part.item].state == "done")
    barred = {
        user: standing.missing for user, standing in stands.items() if standing.state == "barred"
    }
    untouched = step.state == StepState.WAITING and len(waiting) == len(step.objects)
    all_of_it = untouched and len({*stands.values()}) == 1
    first = next(iter(stands.values()), None)
    if all_of_it and first is not None and first.state != "open":
        return Ready(begin, barred, True)
    return Ready(begin, barred, False) if begin or barred else None


@dataclass(frozen=True, slots=True)
class _Standing:
    """The state of a step's needs for one user. missing: those that did not get done."""

    state: Literal["done", "barred", "open"]
    missing: tuple[str, ...] = ()


class _Need:
    """A step that another one needs."""

    def __init__(self, step: StepRecord) -> None:
        self.name = step.name
        self._step = step
        self._states: dict[str, set[str]] = {}
        for part in step.objects:
            self._states.setdefault(part.item, set()).add(part.state)

    def stands(self, user: str) -> Literal["done", "barred", "open"]:
        """Return its state for a user; for '' or an unknown user, that of the whole step."""
        if self._step.state == StepState.DONE:
            return "done"
        own = self._states.get(user, set()) if user else set()
        if own == {StepState.DONE}:
            return "done"
        if self._step.state in OVER or (own and own.issubset(OVER)):
            return "barred"
        return "open"


def _stand(needs: Sequence[_Need], user: str) -> _Standing:
    stands = {need.name: need.stands(user) for need in needs}
    if "open" in stands.values():
        return _Standing("open")
    missing = tuple(name for name, state in stands.items() if state == "barred")
    return _Standing("barred" if missing else "done", missing)
