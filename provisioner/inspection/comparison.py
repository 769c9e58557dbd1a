"""Compares a manifest with the backends, before anything is taken over.

Promises: only reads, with a few queries for each backend, for a manifest of any length; what a step
needs from an earlier one comes from the existing objects. Leaves out: taking over (`adoption`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from provisioner.contract import Claim, Conflict, Fault, Key, NotReady, Scalar
from provisioner.convergence.existing import Look, look
from provisioner.journal.records import keepsakes, ledger
from provisioner.objects.states import Adoption
from provisioner.request.request import Request
from provisioner.routing.rendering import Step, StepClaim
from provisioner.wiring import System

Kind = Literal["fits", "differs", "conflict", "missing", "later", "fault"]
"""The result for an object. missing: it does not exist; later: its want is not known yet."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One object. texts: what differs, or what is wrong; subjects: the subjects that want it."""

    key: Key
    kind: Kind
    subjects: tuple[str, ...]
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Line:
    """A request of the manifest. steps: those left to do; there: those whose objects all exist."""

    request: Request
    steps: dict[str, Step]
    outputs: dict[tuple[str, str], dict[str, Scalar]] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)


def compare(system: System, requests: Iterable[Request]) -> list[Compared]:
    """Return, for each object that the requests want, whether it exists and is as wanted.

    Raises InvalidRequest or Refused, as accepting one of the requests would.
    """
    lines = [
        _Line(request, {step.name: step for step in system.router.route(request)})
        for request in requests
    ]
    compared: dict[Key, Compared] = {}
    while wave := [(line, step) for line in lines for step in _ready(system, line)]:
        seen = _read(system, wave)
        for line, step in wave:
            del line.steps[step.name]
            _note(system, line, step, seen)
        subjects = _subjects(wave)
        compared |= {key: _judged(object_look, subjects[key]) for key, object_look in seen.items()}
    for line in lines:
        for step in line.steps.values():
            after = sorted({*step.needs, *step.late} - line.there or step.late)
            why = (f"known after {', '.join(after)}",)
            for claim in step.claims:
                later = Compared(claim.key, "later", (line.request.subject,), why)
                compared.setdefault(claim.key, later)
    return [compared[key] for key in sorted(compared)]


def _ready(system: System, line: _Line) -> list[Step]:
    """Return the steps of a request that can be compared now, with their values bound."""
    ready = []
    for step in line.steps.values():
        if not step.late:
            ready.append(step)
        elif step.late <= line.there:
            try:
                bound = system.router.bind(line.request, step.name, line.outputs)
            except Fault:
                continue
            if all(claim.want is not None for claim in bound.claims):
                ready.append(bound)
    return ready


def _read(system: System, wave: Sequence[tuple[_Line, Step]]) -> dict[Key, Look]:
    """Read the objects of some steps, with one query for each handler."""
    by_instance: dict[str, dict[Key, list[Claim]]] = {}
    for _, step in wave:
        for given in step.claims:
            mine = by_instance.setdefault(step.instance, {}).setdefault(given.key, [])
            mine.append(Claim(given.claimant, given.want or {}))
    looks: dict[Key, Look] = {}
    for instance, claims in by_instance.items():
        with system.journal.reading() as conn:
            held = ledger.claims_of(conn, claims)
            kept = keepsakes.of(conn, claims)
        items = []
        for key, listed in claims.items():
            names = {claim.claimant for claim in listed}
            others = [claim for claim in held.get(key, ()) if claim.claimant not in names]
            whole = tuple(sorted((*others, *listed), key=lambda claim: claim.claimant))
            items.append(kept.get(key, keepsakes.NOTHING).item(key, whole, Adoption.OURS))
        looks |= {
            object_look.outcome.item.key: object_look
            for object_look in look(system.handlers[instance], items)
        }
    return looks


def _note(system: System, line: _Line, step: Step, seen: Mapping[Key, Look]) -> None:
    """Record a step's outputs for later steps, and the step itself if all its objects exist."""

    def there(claim: StepClaim) -> bool:
        state = seen[claim.key].outcome.state
        return state is not None and bool(state.get("present"))

    for claim in step.claims:
        if there(claim):
            state = seen[claim.key].outcome.state or {}
            given = line.outputs.setdefault((step.name, claim.item), {})
            given.update(system.outputs_of(step.instance, state))
    if all(map(there, step.claims)):
        line.there.add(step.name)


def _subjects(wave: Sequence[tuple[_Line, Step]]) -> dict[Key, tuple[str, ...]]:
    by_key: dict[Key, dict[str, None]] = {}
    for line, step in wave:
        for claim in step.claims:
            by_key.setdefault(claim.key, {})[line.request.subject] = None
    return {key: tuple(names) for key, names in by_key.items()}


def _judged(seen: Look, subjects: tuple[str, ...]) -> Compared:
    key, state, fault = seen.outcome.item.key, seen.outcome.state, seen.outcome.fault
    absent = state is not None and not state.get("present")
    if fault is not None:
        waits = isinstance(fault, NotReady) and absent
        kind: Kind = "missing" if waits else "conflict" if isinstance(fault, Conflict) else "fault"
        return Compared(key, kind, subjects, (fault.message.removeprefix(f"{key}: "),))
    if absent and (seen.writes or seen.marks):
        return Compared(key, "missing", subjects, (*seen.marks, *seen.writes))
    if seen.writes:
        return Compared(key, "differs", subjects, seen.writes)
    return Compared(key, "fits", subjects)
