"""Steps: the rows of a request's steps at its acceptance. Pure.

Promises: a step with no needs is due from the start. Leaves out: which step may begin later
(`advance`), writing the rows (`step_rows`), and changing them (`step_moves`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.contract import Key
from provisioner.journal import audit
from provisioner.objects.states import StepState
from provisioner.routing.rendering import Step
from provisioner.system.ulid import RequestId

WITHDRAWS = "withdraw from "
"""Begins the name of a step that only takes claims away; the column `withdraws` is the fact."""


def rows_of(
    request: RequestId, planned: Sequence[Step]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of a routed request's steps and of their objects.

    A step with no needs is due from the start; the others wait.
    """
    step_rows, object_rows = [], []
    for ordinal, step in enumerate(planned):
        state = StepState.WAITING if waits(step) else StepState.DUE
        step_rows.append(_step_row(request, step, ordinal, state))
        for claim in step.claims:
            object_rows.append(
                _object_row(request, step.name, claim.key, claim.item, claim.claimant, state)
            )
    return step_rows, object_rows


def started(step_rows: Sequence[Mapping[str, Any]]) -> list[audit.Event]:
    """Return an event for each request that names the steps due from the start."""
    names: dict[RequestId, list[str]] = {}
    for row in step_rows:
        if row["state"] == StepState.DUE:
            names.setdefault(row["request"], []).append(row["name"])
    return [audit.Event(request, "started", ", ".join(some)) for request, some in names.items()]


def waits(step: Step) -> bool:
    """Return True if a step has to wait for another."""
    return bool(step.needs or step.late)


def waiting(planned: Sequence[Step]) -> dict[Key, frozenset[Key]]:
    """Return the objects of a request's steps that have to wait, and those of the steps that they
    need."""
    keys = {step.name: frozenset(claim.key for claim in step.claims) for step in planned}
    return {
        key: frozenset[Key]().union(*(keys.get(name, ()) for name in step.needs))
        for step in planned
        if waits(step)
        for key in keys[step.name]
    }


def rows_of_keys(
    request: RequestId,
    subject: str,
    keys: Mapping[Key, str],
    first: int = 0,
    *,
    withdraws: bool = False,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of steps without a route: one for each instance of some objects.

    keys: object -> instance; first: the ordinal of the first step; withdraws: the steps take away
    what a provision leaves out, and their names say so.
    """
    prefix = WITHDRAWS if withdraws else ""
    instances = sorted(set(keys.values()))
    unrouted = [Step(prefix + instance, instance, (), (), frozenset()) for instance in instances]
    step_rows = [
        {
            **_step_row(request, step, ordinal, StepState.DUE),
            "routed": False,
            "withdraws": withdraws,
        }
        for ordinal, step in enumerate(unrouted, first)
    ]
    object_rows = [
        _object_row(request, prefix + instance, key, "", subject, StepState.DUE)
        for key, instance in keys.items()
    ]
    return step_rows, object_rows


def _step_row(request: RequestId, step: Step, ordinal: int, state: StepState) -> dict[str, Any]:
    return {
        "request": request,
        "name": step.name,
        "ordinal": ordinal,
        "instance": step.instance,
        "needs": list(step.needs),
        "routed": True,
        "state": state,
        "withdraws": False,
    }


def _object_row(
    request: RequestId, step: str, key: Key, item: str, claimant: str, state: StepState
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
