"""What every backend has of one subject: `provisioner status`.

Promises: a fact that several backends have is on one line, so that a difference is visible; a
project is shown with its allocations; a user is looked up even if no request claims one. Leaves
out: fixing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from provisioner.cli import site
from provisioner.contract import Claim, Fault, InvalidRequest, Json, Key, Scalar, State
from provisioner.inspection import planning
from provisioner.journal.queries import subjects
from provisioner.journal.queries.subjects import Suspension
from provisioner.journal.records import ledger
from provisioner.objects.errors import Error
from provisioner.objects.states import Adoption
from provisioner.outcome.results import moment
from provisioner.request.request import parse_request
from provisioner.wiring import System

_HIDDEN = ("present", "mark", "note", "dn", "control", "group_dn", "account_present")
"""Facts that do not help a person; `--json` has them."""

_WIDTH = 140
"""Columns of output that does not go to a terminal."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """One object: the claims on it, its state in the backend, and what is missing."""

    key: Key
    instance: str
    claims: tuple[Claim, ...]
    state: State | None
    outputs: Mapping[str, Scalar]
    missing: tuple[str, ...]
    error: Error | None
    adoption: Adoption | None = None


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
    return [
        ObjectStatus(
            item.key,
            item.instance,
            item.claims,
            item.state,
            _outputs(system, item.instance, item.state),
            item.missing,
            item.error,
            item.adoption,
        )
        for item in standing
    ]


def _unclaimed(system: System, name: str) -> list[ObjectStatus]:
    """Look up a user whom no request claims, where `user.provision` would make the user."""
    body = {"provisioner": "1", "action": "user.provision", "user": {"name": name}}
    from provisioner.request.documents import dump

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


def plain(item: ObjectStatus, subject: str, closed: Sequence[Suspension]) -> dict[str, Any]:
    """Return one object as plain data, for `--json`."""
    names = {subject, *(name for claim in item.claims for name in ledger.parts(claim.claimant))}
    return {
        "object": item.key,
        "handler": item.instance,
        "claims": [
            {"by": c.claimant, "suspended": c.suspended, "want": c.want} for c in item.claims
        ],
        "state": item.state,
        "missing": list(item.missing),
        "error": item.error.words() if item.error else None,
        "adopted": item.adoption,
        "suspensions": [
            {**asdict(reason), "since": moment(reason.since)}
            for reason in closed
            if reason.subject in names
        ],
    }


def show(subject: str, listed: Sequence[ObjectStatus], closed: Sequence[Suspension]) -> None:
    """Print the suspensions, and two tables: facts side by side, and object by object."""
    for suspension in closed:
        since = moment(suspension.since)
        reason = f"suspended by {suspension.source}: {suspension.cause}, since {since}"
        site.say(f"{suspension.subject}: {reason} ({suspension.request})")
    if not listed:
        more = ", nor for any of its allocations" if subject.startswith("project:") else ""
        site.say(f"no request claims anything for {subject}{more}")
        return
    if not any(item.claims for item in listed):
        site.say(f"no request claims anything for {subject}; the backends have:")
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    shared = shared_facts(subject, listed)
    if shared:
        console.print(_side_by_side(shared))
    console.print(_one_by_one(listed, {fact for fact, _ in shared}))


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
            if value not in (None, "") and fact not in _HIDDEN:
                facts.setdefault("uid" if fact == "id" else fact, {})[item.key] = str(value)
    return [(fact, values) for fact, values in facts.items() if len(values) > 1]


def _side_by_side(shared: Sequence[tuple[str, Mapping[Key, str]]]) -> Table:
    keys = list(dict.fromkeys(key for _, values in shared for key in values))
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("")
    for key in keys:
        table.add_column(key.partition("/")[0], overflow="fold")
    table.add_column("")
    for fact, values in shared:
        differs = "" if len(set(values.values())) == 1 else "differ"
        cells = (site.printable(values.get(key, "-")) for key in keys)
        table.add_row(fact, *cells, differs)
    return table


def _one_by_one(listed: Sequence[ObjectStatus], shown: set[str]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("object", "wanted by", "the backend says", "missing"):
        table.add_column(column, overflow="fold")
    unclaimed = "a waiting step" if any(item.claims for item in listed) else "nobody"
    for item in listed:
        claims = (c.claimant + (" (suspended)" if c.suspended else "") for c in item.claims)
        cells = (item.key, "\n".join(claims) or unclaimed, _says(item, shown), _missing(item))
        table.add_row(*map(site.printable, cells))
    return table


def _says(item: ObjectStatus, shown: set[str]) -> str:
    """Return a state in a few words, without the facts in `shown`."""
    state = item.state
    if state is None:
        return "no answer" if item.error else "not asked: known after another step"
    if not state.get("present"):
        return "not there"
    hidden = {*_HIDDEN, *shown, *(("id",) if "uid" in shown else ())}
    facts = [f"{name} {_text(value)}" for name, value in _flat(state) if name not in hidden]
    return ", ".join(facts) or "there"


def _flat(state: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """Return the facts that are not empty; the facts of a nested mapping keep their own names."""
    facts: list[tuple[str, Json]] = []
    for name, value in state.items():
        if isinstance(value, Mapping):
            facts += _flat(value)
        elif value not in (None, "", [], False):
            facts.append((name, value))
    return facts


def _text(value: Json) -> str:
    if value is True:
        return "yes"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _missing(item: ObjectStatus) -> str:
    if item.error is not None:
        message, *_ = item.error.message.removeprefix(f"{item.key}: ").splitlines() or [""]
        advice = item.error.advice
        return f"{message} (what to do: {advice})" if advice else message
    return "; ".join(item.missing) or ("nothing" if item.claims else "")
