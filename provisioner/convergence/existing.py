"""Existing objects: what it would take to make them as wanted, and whether that may be done.

Promises: reads only. An object that an adoption took over is written when it fits what is wanted,
when somebody says that it may differ no longer, or to take access away; before that its difference
is told. Leaves out: taking over (`adoption`), and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from provisioner.contract import OWNING, Change, Conflict, Fault, Handler, NotReady
from provisioner.convergence.converge import Outcome, dry_run
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption


class Differs(Conflict):
    """The object was there before, and is otherwise than it is wanted."""

    advice = (
        "make it so by hand, or ask for what is there; to have it changed, say `adopt: true` in "
        "its request, or `provisioner adopt --differing`"
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of an object. writes: what would be changed beside marks that it is ours.

    adoption: how it is taken over, by now.
    """

    outcome: Outcome
    marks: tuple[str, ...]
    writes: tuple[str, ...]
    adoption: Adoption | None


def guarded(item: Item) -> bool:
    """Say whether an object may only be looked at."""
    return item.adoption in (Adoption.NEW, Adoption.SEEN) or (
        item.adoption == Adoption.DIFFERS and item.open
    )


def as_taken(item: Item) -> Item:
    """Let claims on what was taken over say that it may be."""
    if item.adoption is None:
        return item
    claims = tuple(
        replace(claim, want={**claim.want, "adopt": True}) if "adopt" in claim.want else claim
        for claim in item.claims
    )
    return replace(item, claims=claims)


def look(handler: Handler, items: Iterable[Item]) -> list[Look]:
    """Say of objects what converging them would write; one that may not be is told by a fault."""
    asked = {item.key: item for item in items}
    seen = dry_run(handler, [as_taken(item) for item in asked.values()])
    return [_look(asked[item.key], changes, outcome) for item, changes, outcome in seen]


def _look(item: Item, changes: Sequence[Change], outcome: Outcome) -> Look:
    outcome = replace(outcome, item=item)
    if not item.claims and item.adoption in (Adoption.NEW, Adoption.SEEN):
        # What would be planned is what nobody claims being closed.
        fault = outcome.fault if outcome.state is None else None
        return Look(replace(outcome, fault=fault), (), (), Adoption.SEEN)
    if outcome.fault is not None:
        disputed = item.adoption == Adoption.NEW and isinstance(outcome.fault, Conflict)
        return Look(outcome, (), (), None if disputed else item.adoption)
    marks = tuple(change.text for change in changes if change.verb in OWNING)
    writes = tuple(change.text for change in changes if change.verb not in OWNING)
    if not writes:
        # What has no mark of its own may hang on another object's, such as a member on its group.
        taken = bool(marks) or item.adoption is not None
        return Look(outcome, marks, (), Adoption.OURS if taken else None)
    if not guarded(item):
        return Look(outcome, marks, writes, item.adoption)
    if not (outcome.state or {}).get("present"):
        gone = NotReady(f"{item.key}: was adopted, and is not there: it is made the next time")
        return Look(replace(outcome, fault=gone), marks, writes, None)
    return Look(replace(outcome, fault=_differs(item, writes)), (), (), _left(item))


def _differs(item: Item, writes: Sequence[str]) -> Fault:
    return Differs(f"{item.key}: was there before, and differs: {'; '.join(writes)}")


def _left(item: Item) -> Adoption:
    return Adoption.SEEN if item.adoption == Adoption.SEEN else Adoption.DIFFERS
