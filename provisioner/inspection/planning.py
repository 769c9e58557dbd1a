"""The dry run and the state of things: what a request would change, what every backend says.

Promises: the path of the real thing up to the first write. Leaves out: writing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioner.contract import Claim, ConfigError, Key, NotReady, Refused, Scalar, State
from provisioner.controls.verbs import VERBS
from provisioner.convergence.converge import Outcome
from provisioner.convergence.existing import Look, look
from provisioner.journal.journal import Connection
from provisioner.journal.records import keepsakes, ledger, object_rows, request_rows
from provisioner.journal.records.keepsakes import NOTHING
from provisioner.objects.errors import Error
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request, parse_request
from provisioner.routing.rendering import Step
from provisioner.steps.steps import WITHDRAWS
from provisioner.system import ulid
from provisioner.wiring import System


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """What would be changed of one object.

    known_after: steps that have to be done first; notes: what several claims on it come to.
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
    """Say what a request would do now, step by step.

    writer: who would ask, as what one has suspended no other resumes. Raises InvalidRequest or
    Refused as accepting it would.
    """
    if request.values.get("manifest"):
        adopting = "provisioner adopt --manifest FILE compares it with the backends"
        sending = (
            "send it: one that takes something from many people is held, and `show` lists changes"
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
        found = []
        for step in planned:
            bound = step
            if step.late and all(need in settled for need in step.needs):
                users = {claim.item for claim in step.claims} or None
                bound = system.router.bind(request, step.name, outputs, users)
            unsettled = tuple(need for need in step.needs if need not in settled)
            done = _after(unsettled, _plan_step(conn, system, bound, request.adopt))
            found.append(done)
            if all(one.already for one in done.objects):
                settled.add(step.name)
                for claim, one in zip(bound.claims, done.objects, strict=True):
                    if one.state is not None:
                        given = outputs.setdefault((step.name, claim.item), {})
                        given.update(system.outputs_of(step.instance, one.state))
        kept = {(claim.key, claim.claimant) for step in planned for claim in step.claims}
        found += _plan_withdrawn(conn, system, before - kept)
    return found


def _after(unsettled: tuple[str, ...], step: PlannedStep) -> PlannedStep:
    """Call known after others what is not ready before they are done: it is their work."""
    objects = tuple(
        replace(one, known_after=unsettled, error=None)
        if unsettled and one.error is not None and one.error.type == "NotReady"
        else one
        for one in step.objects
    )
    return replace(step, objects=objects)


def _plan_step(conn: Connection, system: System, step: Step, adopt: bool) -> PlannedStep:
    """Plan one step; adopt: the request takes over what differs."""
    held = ledger.claims_of(conn, [claim.key for claim in step.claims])
    kept = keepsakes.of(conn, [claim.key for claim in step.claims])
    founds = {} if adopt else object_rows.adoptions_of(conn, [claim.key for claim in step.claims])
    suspended = ledger.suspended_parts(conn, [claim.claimant for claim in step.claims])
    items: list[Item] = []
    late: dict[Key, tuple[str, ...]] = {}
    for claim in step.claims:
        if claim.want is None:
            late[claim.key] = tuple(sorted(step.late))
            continue
        others = tuple(c for c in held.get(claim.key, ()) if c.claimant != claim.claimant)
        mine = Claim(claim.claimant, claim.want, claim.claimant in suspended, order=ulid.new())
        found = founds.get(claim.key)
        items.append(kept.get(claim.key, NOTHING).item(claim.key, (*others, mine), found))
    results = {one.outcome.item.key: one for one in _dry(system, step.instance, items)}
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
    # Those that were adopted go as any other; those that were only seen stay.
    founds = object_rows.adoptions_of(conn, keys)
    founds = {key: how for key, how in founds.items() if how == Adoption.SEEN}
    by_instance: dict[str, list[Item]] = {}
    for key, instance in object_rows.instances_of(conn, keys).items():
        left = tuple(c for c in held.get(key, ()) if (key, c.claimant) not in gone)
        if not left and key in still:
            continue  # what is claimed by steps that are not due yet is left as it is till then
        one = kept.get(key, NOTHING).item(key, left, founds.get(key))
        by_instance.setdefault(instance, []).append(one)
    return [
        PlannedStep(
            WITHDRAWS + instance,
            instance,
            (),
            tuple(_planned(one) for one in _dry(system, instance, items)),
        )
        for instance, items in sorted(by_instance.items())
    ]


def _plan_verb(system: System, request: Request, writer: str) -> list[PlannedStep]:
    """Plan a verb that changes what is wanted; those that steer the queue change no object."""
    subject = request.subject
    with system.journal.reading() as conn:
        if request.action in ("project.archive", "membership.remove"):
            return _plan_withdrawn(conn, system, ledger.claimed(conn, [subject])[subject])
        if request.action == "reconcile":
            keys = object_rows.all_keys(conn)
        elif request.action.endswith((".suspend", ".resume")):
            keys = ledger.keys_of(conn, subject)
        else:
            return []
        held = ledger.claims_of(conn, keys)
        keys = [key for key in keys if held.get(key) != ()]
        kept = keepsakes.of(conn, keys)
        founds = object_rows.adoptions_of(conn, keys)
        closed = _closed_after(conn, request, writer)
        by_instance: dict[str, list[Item]] = {}
        for key, instance in object_rows.instances_of(conn, keys).items():
            claims = tuple(replace(c, suspended=closed(c)) for c in held.get(key, ()))
            one = kept.get(key, NOTHING).item(key, claims, founds.get(key))
            by_instance.setdefault(instance, []).append(one)
    return [
        PlannedStep(
            instance,
            instance,
            (),
            tuple(_planned(one) for one in _dry(system, instance, items)),
        )
        for instance, items in sorted(by_instance.items())
    ]


def _closed_after(conn: Connection, request: Request, writer: str) -> Callable[[Claim], bool]:
    """Say which claims would be suspended after a suspension or a resume."""
    subject = request.subject
    cause = request.values.get("cause") or "request"
    left = set(ledger.reasons(conn, subject)) - {f"{writer}: {cause}"}
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
            f"the handler {instance!r} is no longer configured", advice=object_rows.PUT_BACK
        )
        return [Look(Outcome(item, None, fault=gone), (), (), item.adoption) for item in items]
    return look(handler, items) if items else []


def _planned(seen: Look) -> PlannedObject:
    outcome = seen.outcome
    key, fault = outcome.item.key, outcome.fault
    # Without a traceback: a look tells; what failed for good is kept by its request.
    error = None if fault is None else replace(Error.of(fault, key), traceback="")
    texts = (*seen.marks, *seen.writes) if error is None else ()
    already = error is None and not texts
    return PlannedObject(key, texts, already, (), error, outcome.state, outcome.notes)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a backend says of one object now, beside what is wanted.

    missing: all that would be written; writes: without marks that it is ours; closes: nobody wants
    it open; adoption: how it was taken over, where it was there before.
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
    """Name the allocations of a project, by the newest request that said whose each is."""
    with system.journal.reading() as conn:
        said = request_rows.newest_of(conn, ("allocation.provision", "membership.add"))
    newest = {record.subject.partition("/")[0]: record for record in said}
    return sorted(name for name, record in newest.items() if _project_of(record, code) == code)


def _project_of(record: request_rows.Record, code: str) -> str | None:
    """Return the code of a request's project; code: what a body that is worth parsing has."""
    if code.encode() not in record.body:
        return None
    try:
        return str(parse_request(record.body).values["project"]["code"])
    except InvalidDocument:  # the format was another one then
        return None


def standing(system: System, subjects: Sequence[str]) -> list[Standing]:
    """Ask every backend for what subjects claim, side by side."""
    with system.journal.reading() as conn:
        keys = {key for subject in subjects for key in ledger.keys_of(conn, subject)}
    return _standing(system, sorted(keys))


def everything(system: System) -> list[Standing]:
    """Ask every backend for all objects of the ledger.

    Left out are objects that are claimed only by steps that are not due yet, as lanes do, and those
    whose handler is not configured any more.
    """
    with system.journal.reading() as conn:
        served = object_rows.instances_of(conn, object_rows.all_keys(conn))
        keys = [key for key, instance in served.items() if instance in system.handlers]
        unbound = {key for key, claims in ledger.claims_of(conn, keys).items() if not claims}
    return _standing(system, [key for key in keys if key not in unbound])


def _standing(system: System, keys: Sequence[Key]) -> list[Standing]:
    with system.journal.reading() as conn:
        held = ledger.claims_of(conn, keys)
        kept = keepsakes.of(conn, keys)
        instances = object_rows.instances_of(conn, keys)
        founds = object_rows.adoptions_of(conn, keys)
    found: list[Standing] = []
    for instance in sorted(set(instances.values())):
        items = [
            kept.get(key, NOTHING).item(key, held.get(key, ()), founds.get(key))
            for key in keys
            if instances[key] == instance
        ]
        for seen in _dry(system, instance, items):
            item, one = seen.outcome.item, _planned(seen)
            if held.get(item.key) == ():
                one = replace(one, changes=(), error=_not_due(item.key))
            found.append(
                Standing(
                    item.key,
                    instance,
                    item.claims,
                    one.state,
                    one.changes,
                    one.error,
                    seen.writes if one.error is None else (),
                    not item.open,
                    item.adoption,
                )
            )
    return found


def _not_due(key: Key) -> Error:
    """Say of an object what is so until the step that claims it is due."""
    message = f"{key}: claimed by a step that is not due yet"
    advice = "`provisioner queue` says what its request waits for"
    return Error.of(NotReady(message, advice=advice), key)


def plain(steps: Sequence[PlannedStep]) -> list[dict[str, Any]]:
    """Make a plan plain data, for `--json`."""
    return [
        {
            "step": step.name,
            "handler": step.instance,
            "needs": list(step.needs),
            "objects": [
                {
                    "object": one.key,
                    "changes": list(one.changes),
                    "already": one.already,
                    "known_after": list(one.known_after),
                    "error": one.error.words() if one.error else None,
                    "notes": list(one.notes),
                }
                for one in step.objects
            ],
        }
        for step in steps
    ]
