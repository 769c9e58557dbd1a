"""What every backend says of one subject: `provisioner status`.

Promises: what several backends say of the same thing stands in one line, so that a difference is
seen; a project's allocations are shown with it; a person whom nobody claims is looked for all the
same. Leaves out: mending anything.
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
"""Facts that say nothing to a person; `--json` has them."""

_WIDTH = 140
"""Columns where there is no terminal to say how many."""


@dataclass(frozen=True, slots=True)
class Found:
    """One object: who wants it, what its backend says, what is missing."""

    key: Key
    instance: str
    claims: tuple[Claim, ...]
    state: State | None
    outputs: Mapping[str, Scalar]
    missing: tuple[str, ...]
    error: Error | None
    adoption: Adoption | None = None


def of(system: System, subject: str) -> list[Found]:
    """Ask every backend for a subject's objects; for a project's, its allocations' too.

    Raises InvalidRequest for what is no subject.
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
        Found(
            one.key,
            one.instance,
            one.claims,
            one.state,
            _outputs(system, one.instance, one.state),
            one.missing,
            one.error,
            one.adoption,
        )
        for one in standing
    ]


def _unclaimed(system: System, name: str) -> list[Found]:
    """Look for a person whom nobody claims where `user.provision` would make them."""
    body = {"provisioner": "1", "action": "user.provision", "user": {"name": name}}
    from provisioner.request.documents import dump

    request = parse_request(dump(body).encode())
    return [
        Found(
            one.key,
            step.instance,
            (),
            one.state,
            _outputs(system, step.instance, one.state),
            (),
            None if one.error is None or one.error.type == "NotReady" else one.error,
        )
        for step in planning.plan(system, request)
        for one in step.objects
    ]


def _outputs(system: System, instance: str, state: State | None) -> Mapping[str, Scalar]:
    try:
        return system.outputs_of(instance, state) if state is not None else {}
    except (Fault, KeyError):  # a state that is there in part has no outputs yet
        return {}


def suspensions(system: System, subject: str, found: Sequence[Found]) -> list[Suspension]:
    """List what closes a subject, or a claim on one of its objects."""
    claimants = {claim.claimant for one in found for claim in one.claims}
    names = {subject, *(name for who in claimants for name in ledger.parts(who))}
    with system.journal.reading() as conn:
        return subjects.suspensions_of(conn, names)


def plain(one: Found, subject: str, closed: Sequence[Suspension]) -> dict[str, Any]:
    """Make it plain data, for `--json`."""
    names = {subject, *(name for claim in one.claims for name in ledger.parts(claim.claimant))}
    return {
        "object": one.key,
        "handler": one.instance,
        "claims": [
            {"by": c.claimant, "suspended": c.suspended, "want": c.want} for c in one.claims
        ],
        "state": one.state,
        "missing": list(one.missing),
        "error": one.error.words() if one.error else None,
        "adopted": one.adoption,
        "suspensions": [
            {**asdict(reason), "since": moment(reason.since)}
            for reason in closed
            if reason.subject in names
        ],
    }


def show(subject: str, found: Sequence[Found], closed: Sequence[Suspension]) -> None:
    """Print who suspended whom, and two tables: facts side by side, and object by object."""
    for one in closed:
        said = f"suspended by {one.source}: {one.cause}, since {moment(one.since)}"
        site.say(f"{one.subject}: {said} ({one.request})")
    if not found:
        more = ", nor for any of its allocations" if subject.startswith("project:") else ""
        site.say(f"no request claims anything for {subject}{more}")
        return
    if not any(one.claims for one in found):
        site.say(f"no request claims anything for {subject}; the backends have:")
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    shared = shared_facts(subject, found)
    if shared:
        console.print(_side_by_side(shared))
    console.print(_one_by_one(found, {fact for fact, _ in shared}))


def shared_facts(subject: str, found: Sequence[Found]) -> list[tuple[str, Mapping[Key, str]]]:
    """List the facts that more than one object of the subject's own has: (fact, key -> value).

    Its own are those that it claims itself; what an allocation's users have is each one's own.
    """
    facts: dict[str, dict[Key, str]] = {}
    for one in found:
        if one.claims and subject not in (claim.claimant for claim in one.claims):
            continue
        for fact, value in one.outputs.items():
            if value not in (None, "") and fact not in _HIDDEN:
                facts.setdefault("uid" if fact == "id" else fact, {})[one.key] = str(value)
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


def _one_by_one(found: Sequence[Found], shown: set[str]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("object", "wanted by", "the backend says", "missing"):
        table.add_column(column, overflow="fold")
    unclaimed = "a waiting step" if any(one.claims for one in found) else "nobody"
    for one in found:
        claims = (c.claimant + (" (suspended)" if c.suspended else "") for c in one.claims)
        cells = (one.key, "\n".join(claims) or unclaimed, _says(one, shown), _missing(one))
        table.add_row(*map(site.printable, cells))
    return table


def _says(one: Found, shown: set[str]) -> str:
    """Put a state into a few words, without what is shown elsewhere."""
    state = one.state
    if state is None:
        return "no answer" if one.error else "not asked: known after another step"
    if not state.get("present"):
        return "not there"
    hidden = {*_HIDDEN, *shown, *(("id",) if "uid" in shown else ())}
    facts = [f"{name} {_text(value)}" for name, value in _flat(state) if name not in hidden]
    return ", ".join(facts) or "there"


def _flat(state: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """List facts without empty ones; those of a mapping by their own names."""
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


def _missing(one: Found) -> str:
    if one.error is not None:
        message, *_ = one.error.message.removeprefix(f"{one.key}: ").splitlines() or [""]
        advice = one.error.advice
        return f"{message} (what to do: {advice})" if advice else message
    return "; ".join(one.missing) or ("nothing" if one.claims else "")
