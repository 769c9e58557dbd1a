"""History: what requests said of a claim, in the order in which they were accepted.

Promises: read from requests and steps alone, inside the caller's transaction, so that it does not
matter who looked at an object in between. Leaves out: what is wanted now (`ledger`), and giving
claims back (`undo`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select

from provisioner.contract import Key
from provisioner.journal.dialect import IDS, chunks, lies_in
from provisioner.journal.schema import requests, step_objects
from provisioner.journal.schema import steps as step_rows
from provisioner.objects.states import RUNNING, RequestState, StepState

TAKING = ("project.archive", "membership.remove")
"""Actions that take claims back, and write none."""

CLAIMING = frozenset(
    {"user.provision", "project.provision", "allocation.provision", "membership.add", *TAKING}
)
"""Actions that say the whole of what is claimed for their subject."""

STOPPED = (RequestState.CANCELLED, RequestState.HELD)
"""States of requests of which only counts what they had made."""

Pair = tuple[Key, str]
"""An object and a claimant."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one request said of a claim.

    step: which of its steps claims it, '' where it leaves the claim out; bound: that step has
    begun, so that its want is known; counts: the request is neither cancelled nor held, or had made
    it, or taken it away, before.
    """

    request: str
    writer: str
    step: str
    bound: bool = False
    counts: bool = True


def of(conn: Connection, pairs: Collection[Pair]) -> dict[Pair, list[Said]]:
    """Tell what was said of claims, oldest first."""
    found: dict[Pair, dict[str, Said]] = {pair: {} for pair in pairs}
    order: dict[str, tuple[float, str]] = {}
    taken: set[tuple[str, Key]] = set()
    for part in chunks({key for key, _ in pairs}):
        for row in conn.execute(_PARTS, {"b_ids": part}):
            if not row.routed and row.over == StepState.DONE:
                taken.add((row.request, row.key))
            said = found.get((row.key, row.claimant)) if row.routed else None
            if said is None:
                continue
            order[row.request] = (row.accepted, row.request)
            one = _said(row)
            former = said.get(one.request)
            if former is None or (one.bound, one.counts) > (former.bound, former.counts):
                said[one.request] = one
    about: dict[str, set[Pair]] = {}
    for pair in pairs:
        for name in (pair[1], pair[1].partition("/")[0]):
            about.setdefault(name, set()).add(pair)
    for root in sorted(name for name in about if "/" not in name):
        for row in conn.execute(_about(root)):
            if not _was_accepted(row):
                continue
            order[row.id] = (row.accepted, row.id)
            stands = row.state not in STOPPED or row.action in TAKING
            for pair in about.get(row.subject, ()):
                counts = stands or (row.id, pair[0]) in taken
                found[pair].setdefault(row.id, Said(row.id, row.writer, "", counts=counts))
    return {
        pair: sorted(said.values(), key=lambda one: order[one.request])
        for pair, said in found.items()
    }


def before(said: Sequence[Said], request: str) -> tuple[Said | None, Said | None]:
    """Say who claimed before a request, and whose want was in force; None: nobody's."""
    owner = bound = None
    for one in said:
        if one.request == request:
            break
        if not one.counts:
            continue
        owner = one if one.step else None
        bound = one if one.bound else bound if one.step else None
    return owner, bound


def earlier(said: Sequence[Said], request: str) -> Sequence[Said]:
    """Return what was said before a request, oldest first."""
    return said[: _place(said, request)]


def spoke(said: Sequence[Said], request: str) -> bool:
    """Say whether a request said anything of a claim: one that was held from the first did not."""
    return any(one.request == request for one in said)


def overtaken(said: Sequence[Said], request: str) -> bool:
    """Return True if a request that came later claims it, or took it back."""
    return any(one.counts for one in said[_place(said, request) + 1 :])


def _place(said: Sequence[Said], request: str) -> int:
    return next(place for place, one in enumerate(said) if one.request == request)


def _said(row: Any) -> Said:
    counts = row.made or row.state not in STOPPED
    return Said(row.request, row.writer, row.step, row.generation is not None, counts)


def _was_accepted(row: Any) -> bool:
    """Return True if a request ever counted: one that only repeats another's id has no steps."""
    if row.begun:
        return True
    done = row.action in TAKING and row.state in (*RUNNING, RequestState.DONE)
    return done and row.duplicate_of is None


_STEP: Any = (step_rows.c.request == step_objects.c.request) & (
    step_rows.c.name == step_objects.c.step
)
_PARTS: Any = (
    select(
        step_objects.c.key,
        step_objects.c.claimant,
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.generation,
        step_objects.c.state.label("over"),
        step_objects.c.read_back.is_not(None).label("made"),
        step_rows.c.routed,
        requests.c.state,
        requests.c.writer,
        requests.c.accepted,
    )
    .join(step_rows, _STEP)
    .join(requests, requests.c.id == step_objects.c.request)
    .where(step_objects.c.key.in_(IDS))
)


def _about(root: str) -> Any:
    parts = select(step_objects.c.key).join(step_rows, _STEP)
    begun = parts.where(step_objects.c.request == requests.c.id).exists()
    within = lies_in(requests.c.subject, root)
    columns = ("id", "writer", "accepted", "subject", "action", "state", "duplicate_of")
    return select(*(requests.c[name] for name in columns), begun.label("begun")).where(
        requests.c.action.in_(CLAIMING), or_(requests.c.subject == root, within)
    )
