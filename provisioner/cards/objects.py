"""What every backend has of one subject, object by object.

Promises: only reads; a project comes with its allocations; a user is looked up even if no request
claims one. Leaves out: what a person has to know of it first (`card`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from provisioner.contract import Claim, Fault, InvalidRequest, Key, Scalar, State
from provisioner.contract.abilities import Describes, able
from provisioner.inspection import planning
from provisioner.journal.persons import askers
from provisioner.journal.queries import subjects
from provisioner.journal.queries.subjects import Suspension
from provisioner.journal.records import ledger
from provisioner.objects.errors import Error
from provisioner.objects.states import Adoption
from provisioner.request.documents import dump
from provisioner.request.request import parse_request
from provisioner.wiring import System

HIDDEN = ("present", "mark", "note", "dn", "control", "group_dn", "account_present")
"""Facts that do not help a person; `--json` has them."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """One object: the claims on it, its state in the backend, and what is missing.

    described: what people ask about it, in the handler's words; None if the handler has none.
    """

    key: Key
    instance: str
    claims: tuple[Claim, ...]
    state: State | None
    outputs: Mapping[str, Scalar]
    missing: tuple[str, ...]
    error: Error | None
    adoption: Adoption | None = None
    described: Mapping[str, str] | None = None


def of(system: System, subject: str) -> list[ObjectStatus]:
    """Read a subject's objects from every backend; for a project, also its allocations' objects.

    Raises InvalidRequest if the text is not a subject.
    """
    kind, _, name = subject.partition(":")
    if kind not in ("user", "project", "allocation") or not name:
        raise InvalidRequest(
            f"{subject!r} is not a subject", expected="user:NAME, project:CODE or allocation:ID"
        )
    also = planning.allocations_of(system, name) if kind == "project" else []
    standing = planning.standing(system, [subject, *also])
    if not standing and kind == "user":
        return _unclaimed(system, name)
    return [_status(system, item) for item in standing]


def of_keys(system: System, keys: Collection[Key]) -> list[ObjectStatus]:
    """Read some objects of the ledger from their backends."""
    return [_status(system, item) for item in planning.standing_of(system, sorted(keys))]


def _status(system: System, item: planning.Standing) -> ObjectStatus:
    return ObjectStatus(
        item.key,
        item.instance,
        item.claims,
        item.state,
        _outputs(system, item.instance, item.state),
        item.missing,
        item.error,
        item.adoption,
        _described(system, item.instance, item.key, item.state),
    )


def _described(
    system: System, instance: str, key: Key, state: State | None
) -> Mapping[str, str] | None:
    handler = system.handlers.get(instance)
    if state is None or not state.get("present") or not able(handler, Describes):
        return None
    return handler.described(key, state)


def _unclaimed(system: System, name: str) -> list[ObjectStatus]:
    """Look up a user whom no request claims, where `user.provision` would make the user."""
    body = {"provisioner": "1", "action": "user.provision", "user": {"name": name}}
    request = parse_request(dump(body).encode())
    return [
        ObjectStatus(
            planned.key,
            step.instance,
            (),
            planned.state,
            _outputs(system, step.instance, planned.state),
            (),
            None if planned.error is None or planned.error.type == "NotReady" else planned.error,
        )
        for step in planning.plan(system, request)
        for planned in step.objects
    ]


def _outputs(system: System, instance: str, state: State | None) -> Mapping[str, Scalar]:
    try:
        return system.outputs_of(instance, state) if state is not None else {}
    except (Fault, KeyError):  # an incomplete object has no outputs yet
        return {}


def suspensions(system: System, subject: str, listed: Sequence[ObjectStatus]) -> list[Suspension]:
    """Return the suspensions of a subject, and those of claims on its objects."""
    claimants = {claim.claimant for item in listed for claim in item.claims}
    names = {subject, *(name for claimant in claimants for name in ledger.parts(claimant))}
    with system.journal.reading() as conn:
        return subjects.suspensions_of(conn, names)


def left_out(system: System, subject: str) -> str:
    """Return which writers have left out a person who is open, as others ask; '' if none has."""
    with system.journal.reading() as conn:
        asking = askers.of(conn, [subject])[subject].values()
    out = sorted(asker.writer for asker in asking if not asker.asks)
    others = sorted(asker.writer for asker in asking if asker.asks)
    if not out or not others:
        return ""
    return f"left out by {', '.join(out)}; asked for by {', '.join(others)}"


def shared_facts(
    subject: str, listed: Sequence[ObjectStatus]
) -> list[tuple[str, Mapping[Key, str]]]:
    """Return the facts that several of the subject's own objects have: (fact, key -> value).

    A subject's own objects are those that it claims itself. What the users of an allocation have
    belongs to each user.
    """
    facts: dict[str, dict[Key, str]] = {}
    for item in listed:
        if item.claims and subject not in (claim.claimant for claim in item.claims):
            continue
        for fact, value in item.outputs.items():
            if value not in (None, "") and fact not in HIDDEN:
                facts.setdefault("uid" if fact == "id" else fact, {})[item.key] = str(value)
    return [(fact, values) for fact, values in facts.items() if len(values) > 1]
