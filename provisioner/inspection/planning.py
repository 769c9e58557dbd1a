"""The dry run, and the state of objects: what a request would change, and what each backend has.

Promises: the same path as a real request, up to the first write. Leaves out: writing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioner.contract import Claim, ConfigError, Key, NotReady, Refused, Scalar, State
from provisioner.controls.verbs import VERBS
from provisioner.convergence.converge import Outcome
from provisioner.convergence.existing import Look, look
from provisioner.journal.journal import Connection
from provisioner.journal.records import keepsakes, ledger, object_rows, request_rows, waits
from provisioner.journal.records.keepsakes import NOTHING, Shelved
from provisioner.objects.errors import Error
from provisioner.objects.items import Item
from provisioner.objects.states import OPEN, Adoption
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request, parse_request
from provisioner.routing.rendering import Step
from provisioner.steps.steps import WITHDRAWS
from provisioner.system import ulid
from provisioner.wiring import System

TOGETHER = 5_000
"""The objects of which the ledger is read at once: others wait for the journal meanwhile."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """What would change on one object.

    known_after: steps that have to be done first; notes: the result of several claims on it.
    """

    key: Key
    changes: tuple[str, ...]
    already: bool
    known_after: tuple[str, ...] = ()
    error: Error | None = None
    state: State | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan."""

    name: str
    instance: str
    needs: tuple[str, ...]
    objects: tuple[PlannedObject, ...]


def plan(system: System, request: Request, writer: str = "") -> list[PlannedStep]:
    """Return what a request would change now, step by step.

    writer: the account that would send it, because only the writer of a suspension can end it.
    Raises InvalidRequest or Refused, as accepting the request would.
    """
    if request.values.get("manifest"):
        adopting = "to compare it with the backends: provisioner adopt --manifest FILE"
        sending = (
            "send it: if it takes access from many people, the service holds it, and `provisioner"
            " show` lists the changes"
        )
        advice = adopting if request.action == "adopt" else sending
        raise Refused("plan does not read manifests", advice=advice)
    if request.action in VERBS:
        return _plan_verb(system, request, writer)
    planned = system.router.route(request)
    with system.journal.reading() as conn:
        before = ledger.claimed(conn, [request.subject])[request.subject]
        outputs: dict[tuple[str, str], dict[str, Scalar]] = {}
        settled: set[str] = set()
        steps = []
        for step in planned:
            bound = step
            if step.late and all(need in settled for need in step.needs):
                users = {claim.item for claim in step.claims} or None
                bound = system.router.bind(request, step.name, outputs, users)
            unsettled = tuple(need for need in step.needs if need not in settled)
            done = _after(unsettled, _plan_step(conn, system, bound))
            steps.append(done)
            if all(map(_settled, done.objects)):
                settled.add(step.name)
                for claim, planned_object in zip(bound.claims, done.objects, strict=True):
                    if planned_object.state is not None:
                        given = outputs.setdefault((step.name, claim.item), {})
                        given.update(system.outputs_of(step.instance, planned_object.state))
        kept = {(claim.key, claim.claimant) for step in planned for claim in step.claims}
        steps += _plan_withdrawn(conn, system, before - kept)
    return steps


def _settled(planned: PlannedObject) -> bool:
    """Return True if an object is as wanted and there: an absent one gives later steps nothing."""
    return planned.already and planned.state is not None and bool(planned.state.get("present"))


def _after(unsettled: tuple[str, ...], step: PlannedStep) -> PlannedStep:
    """Mark objects that are not ready as known after the unsettled steps that make them ready."""
    objects = tuple(
        replace(planned, known_after=unsettled, error=None)
        if unsettled and planned.error is not None and planned.error.type == "NotReady"
        else planned
        for planned in step.objects
    )
    return replace(step, objects=objects)


def _plan_step(conn: Connection, system: System, step: Step) -> PlannedStep:
    held = ledger.claims_of(conn, [claim.key for claim in step.claims])
    kept = keepsakes.of(conn, [claim.key for claim in step.claims])
    adoptions = object_rows.adoptions_of(conn, [claim.key for claim in step.claims])
    suspended = ledger.suspended_parts(conn, [claim.claimant for claim in step.claims])
    items: list[Item] = []
    late: dict[Key, tuple[str, ...]] = {}
    for claim in step.claims:
        if claim.want is None:
            late[claim.key] = tuple(sorted(step.late))
            continue
        others = tuple(c for c in held.get(claim.key, ()) if c.claimant != claim.claimant)
        mine = Claim(claim.claimant, claim.want, claim.claimant in suspended, order=ulid.new())
        adoption = adoptions.get(claim.key)
        items.append(kept.get(claim.key, NOTHING).item(claim.key, (*others, mine), adoption))
    results = {seen.outcome.item.key: seen for seen in _dry(system, step.instance, items)}
    objects = [
        PlannedObject(claim.key, (), False, late[claim.key])
        if claim.key in late
        else _planned(results[claim.key])
        for claim in step.claims
    ]
    return PlannedStep(step.name, step.instance, step.needs, tuple(objects))


def _plan_withdrawn(
    conn: Connection, system: System, gone: set[tuple[Key, str]]
) -> list[PlannedStep]:
    keys = sorted({key for key, _ in gone})
    held = ledger.claims_of(conn, keys)
    still = {key for key, _ in ledger.pairs(conn, keys) - gone}
    kept = keepsakes.of(conn, keys)
    adoptions = object_rows.adoptions_of(conn, keys)
    by_instance: dict[str, list[Item]] = {}
    for key, instance in object_rows.instances_of(conn, keys).items():
        left = tuple(c for c in held.get(key, ()) if (key, c.claimant) not in gone)
        if not left and key in still:
            continue  # steps that are not due yet claim it; it stays unchanged until then
        adoption = adoptions.get(key)
        if adoption == Adoption.NEW and not left:
            adoption = Adoption.DIFFERS  # it goes, although nobody has compared it
        item = kept.get(key, NOTHING).item(key, left, adoption)
        if item.as_found:
            continue
        by_instance.setdefault(instance, []).append(item)
    return [
        PlannedStep(
            WITHDRAWS + instance,
            instance,
            (),
            tuple(_planned(item) for item in _dry(system, instance, items)),
        )
        for instance, items in sorted(by_instance.items())
    ]


def _plan_verb(system: System, request: Request, writer: str) -> list[PlannedStep]:
    """Return the plan of a verb that changes what is wanted; control verbs change no object."""
    subject = request.subject
    with system.journal.reading() as conn:
        if request.action in ("project.archive", "membership.remove"):
            return _plan_withdrawn(conn, system, ledger.claimed(conn, [subject])[subject])
        if request.action == "reconcile":
            keys = list(request.values["objects"]) or object_rows.all_keys(conn)
        elif request.action.endswith((".suspend", ".resume")):
            keys = ledger.keys_of(conn, subject)
        else:
            return []
        held = ledger.claims_of(conn, keys)
        keys = [key for key in keys if held.get(key) != ()]
        kept = keepsakes.of(conn, keys)
        adoptions = object_rows.adoptions_of(conn, keys)
        closed = _closed_after(conn, request, writer)
        by_instance: dict[str, list[Item]] = {}
        for key, instance in object_rows.instances_of(conn, keys).items():
            claims = tuple(replace(c, suspended=closed(c)) for c in held.get(key, ()))
            item = kept.get(key, NOTHING).item(key, claims, adoptions.get(key))
            by_instance.setdefault(instance, []).append(item)
    return [
        PlannedStep(
            instance,
            instance,
            (),
            tuple(_planned(item) for item in _dry(system, instance, items)),
        )
        for instance, items in sorted(by_instance.items())
    ]


def _closed_after(conn: Connection, request: Request, writer: str) -> Callable[[Claim], bool]:
    """Return a test for claims that would be suspended after a suspension or a resume."""
    subject = request.subject
    cause = request.values.get("cause") or "request"
    whose = request.values.get("writer") or writer
    left = set(ledger.reasons(conn, subject)) - {f"{whose}: {cause}"}
    suspending = request.action.endswith(".suspend")
    lifting = request.action.endswith(".resume") and not left

    def closed(claim: Claim) -> bool:
        parts = ledger.parts(claim.claimant)
        if subject not in parts:
            return claim.suspended
        if suspending:
            return True
        others = set(parts) - {subject, claim.claimant}
        return bool(ledger.suspended_parts(conn, others)) if lifting else claim.suspended

    return closed


def _dry(system: System, instance: str, items: Sequence[Item]) -> list[Look]:
    handler = system.handlers.get(instance)
    if handler is None:
        gone = ConfigError(
            f"the handler {instance!r} is no longer configured", advice=waits.PUT_BACK
        )
        return [Look(Outcome(item, None, fault=gone), (), (), item.adoption) for item in items]
    return look(handler, items) if items else []


def _planned(seen: Look) -> PlannedObject:
    outcome = seen.outcome
    key, error = outcome.item.key, _error(seen)
    texts = (*seen.marks, *seen.writes) if error is None else ()
    already = error is None and not texts
    return PlannedObject(key, texts, already, (), error, outcome.state, outcome.notes)


def _error(seen: Look) -> Error | None:
    """Return what a look failed with, without a traceback: the journal keeps the traceback of a
    request that really failed."""
    fault = seen.outcome.fault
    return None if fault is None else replace(Error.of(fault, seen.outcome.item.key), traceback="")


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one object in its backend now, and what is wanted.

    missing: everything that would be written; writes: the same without our marks; closes: no claim
    wants it open; adoption: how it was taken over, if it existed before.
    """

    key: Key
    instance: str
    claims: tuple[Claim, ...]
    state: State | None
    missing: tuple[str, ...]
    error: Error | None
    writes: tuple[str, ...] = ()
    closes: bool = False
    adoption: Adoption | None = None


def allocations_of(system: System, code: str) -> list[str]:
    """Return the allocations of a project, by each allocation's newest request with a project."""
    with system.journal.reading() as conn:
        records = request_rows.newest_of(conn, ("allocation.provision", "membership.add"))
    newest = {record.subject.partition("/")[0]: record for record in records}
    return sorted(name for name, record in newest.items() if _project_of(record, code) == code)


def _project_of(record: request_rows.Record, code: str) -> str | None:
    """Return the code of a request's project; None if the body does not contain `code`."""
    if code.encode() not in record.body:
        return None
    try:
        return str(parse_request(record.body).values["project"]["code"])
    except InvalidDocument:  # the request is in an older format
        return None


def standing(system: System, subjects: Sequence[str]) -> list[Standing]:
    """Return the state of all objects that the subjects claim."""
    with system.journal.reading() as conn:
        keys = {key for subject in subjects for key in ledger.keys_of(conn, subject)}
    return standing_of(system, sorted(keys))


def everything(system: System, instances: Collection[str] = ()) -> list[Standing]:
    """Return the state of all objects of the ledger. instances: only those of these; empty: of all.

    Like lanes, it leaves out objects that only steps which are not due yet claim. It also leaves
    out objects whose handler is no longer configured.
    """
    asked = set(instances) or set(system.handlers)
    with system.journal.reading() as conn:
        keys = object_rows.all_keys(conn, asked)
    shelved: dict[Key, Shelved] = {}
    held: dict[Key, tuple[Claim, ...]] = {}
    for start in range(0, len(keys), TOGETHER):
        some = keys[start : start + TOGETHER]
        with system.journal.reading() as conn:
            shelved |= keepsakes.shelved(conn, some)
            held |= ledger.claims_of(conn, some)
    bound = {key: one for key, one in shelved.items() if held.get(key) != ()}
    return list(_standing(system, bound, held))


def standing_of(system: System, keys: Sequence[Key]) -> list[Standing]:
    """Return the state of objects of the ledger."""
    with system.journal.reading() as conn:
        held = ledger.claims_of(conn, keys)
        shelved = keepsakes.shelved(conn, keys)
        waiting = [key for key, claims in held.items() if not claims]
        named = ledger.requests_of(conn, waiting)
        records = request_rows.load(conn, set(named.values()))
        unbound = {key: records[one] for key, one in named.items() if one in records}
    return [
        replace(
            standing, missing=(), writes=(), error=_not_due(standing.key, unbound.get(standing.key))
        )
        if held.get(standing.key) == ()
        else standing
        for standing in _standing(system, shelved, held)
    ]


def _standing(
    system: System, shelved: Mapping[Key, Shelved], held: Mapping[Key, tuple[Claim, ...]]
) -> Iterator[Standing]:
    """Yield the state of objects. shelved: what the ledger has of each; held: its claims."""
    by_instance: dict[str, list[Item]] = {}
    for key in sorted(shelved):
        known = shelved[key]
        item = known.kept.item(key, held.get(key, ()), known.adoption)
        by_instance.setdefault(known.instance, []).append(item)
    for instance, items in sorted(by_instance.items()):
        for seen in _dry(system, instance, items):
            item, error = seen.outcome.item, _error(seen)
            yield Standing(
                item.key,
                instance,
                item.claims,
                seen.outcome.state,
                (*seen.marks, *seen.writes) if error is None else (),
                error,
                seen.writes if error is None else (),
                not item.open,
                item.adoption,
            )


def _not_due(key: Key, request: request_rows.Record | None) -> Error:
    """Return the error of an object whose claiming step is not due yet, or never will be.

    request: the one that claims it, if it is known.
    """
    message = f"{key}: claimed by a step that is not due yet"
    advice = "`provisioner queue` says what its request waits for"
    if request is not None and request.state not in OPEN:
        message = f"{key}: not made: its request {request.state}"
        advice = f"`provisioner show {request.id}` says why, then: provisioner retry {request.id}"
    return Error.of(NotReady(message, advice=advice), key)


def plain(steps: Sequence[PlannedStep]) -> list[dict[str, Any]]:
    """Return a plan as plain data, for `--json`."""
    return [
        {
            "step": step.name,
            "handler": step.instance,
            "needs": list(step.needs),
            "objects": [
                {
                    "object": planned.key,
                    "changes": list(planned.changes),
                    "already": planned.already,
                    "known_after": list(planned.known_after),
                    "error": planned.error.words() if planned.error else None,
                    "notes": list(planned.notes),
                }
                for planned in step.objects
            ],
        }
        for step in steps
    ]
