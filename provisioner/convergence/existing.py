"""Existing objects: what it would take to make them as wanted, and whether that is allowed.

Promises: reads only. An adopted object is written if it is as wanted, if somebody said that it
should be changed, or to take access away. Until then its difference is reported. Leaves out:
adopting (`adoption`), and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from provisioner.contract import OWNING, Change, Conflict, Fault, Handler, NotReady
from provisioner.contract.abilities import Reopens, able
from provisioner.convergence.converge import Outcome, dry_run
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption


class Differs(Conflict):
    """The object existed before, and is not as wanted."""

    advice = (
        "change it by hand, or ask for what is there; to let the service change it, put "
        "`adopt: true` into its request, or run `provisioner adopt --differing`"
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at an object showed. writes: the changes beside our marks.

    adoption: how it is now taken over.
    """

    outcome: Outcome
    marks: tuple[str, ...]
    writes: tuple[str, ...]
    adoption: Adoption | None


def guarded(handler: Handler, item: Item) -> bool:
    """Return True if an object may only be looked at: an adopted one, but to take access away, and
    to give it back."""
    if item.claims and not item.open:
        return item.adoption == Adoption.SEEN
    if item.reopens and able(handler, Reopens):
        return False
    return item.adoption in (Adoption.NEW, Adoption.SEEN) or (
        item.adoption == Adoption.DIFFERS and item.open
    )


def as_taken(item: Item) -> Item:
    """Put into the claims on an adopted object that taking it over is allowed."""
    if item.adoption is None:
        return item
    claims = tuple(
        replace(claim, want={**claim.want, "adopt": True}) if "adopt" in claim.want else claim
        for claim in item.claims
    )
    return replace(item, claims=claims)


def look(handler: Handler, items: Iterable[Item]) -> list[Look]:
    """Return what converging objects would write; a fault says where that is not allowed."""
    items_by_key = {item.key: item for item in items}
    seen = dry_run(handler, [as_taken(item) for item in items_by_key.values()])
    return [
        _look(guarded(handler, item), changes, replace(outcome, item=items_by_key[item.key]))
        for item, changes, outcome in seen
    ]


def taken_over(handler: Handler, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Say of objects that were converged how each is now taken over.

    One that was closed and differs, or was never compared, opens as it was. One that opened so is
    looked at once more: it converged if it is as wanted, and else its fault says what differs.
    """
    opened = [o for o in outcomes if o.item.reopens and o.fault is None]
    again = look(handler, [replace(o.item, prior=None) for o in opened]) if opened else []
    differing = {seen.outcome.item.key: seen for seen in again if seen.outcome.fault is not None}
    return [_taken_over(outcome, differing.get(outcome.item.key)) for outcome in outcomes]


def _taken_over(outcome: Outcome, seen: Look | None) -> Outcome:
    item = outcome.item
    if seen is not None:
        fault = seen.outcome.fault
        return replace(outcome, fault=fault, adoption=Adoption.DIFFERS, reopened=True)
    may_differ = item.adoption in (Adoption.NEW, Adoption.DIFFERS)
    closed = may_differ and not item.open and bool(item.claims) and outcome.fault is None
    if closed and (outcome.state or {}).get("present"):
        return replace(outcome, adoption=Adoption.DIFFERS)
    settled = outcome.changed or outcome.fault is None
    return replace(outcome, adoption=None if settled else item.adoption)


def _look(only_read: bool, changes: Sequence[Change], outcome: Outcome) -> Look:
    item = outcome.item
    if not item.claims and item.adoption in (Adoption.NEW, Adoption.SEEN):
        # The plan would only close it, because nobody claims it.
        fault = outcome.fault if outcome.state is None else None
        return Look(replace(outcome, fault=fault), (), (), Adoption.SEEN)
    if outcome.fault is not None:
        disputed = item.adoption == Adoption.NEW and isinstance(outcome.fault, Conflict)
        return Look(outcome, (), (), None if disputed else item.adoption)
    marks = tuple(change.text for change in changes if change.verb in OWNING)
    writes = tuple(change.text for change in changes if change.verb not in OWNING)
    if not writes:
        # An object without a mark of its own can hang on another's, as a membership does.
        taken = bool(marks) or item.adoption is not None
        ours = item.adoption if item.reopens else Adoption.OURS
        return Look(outcome, marks, (), ours if taken else None)
    if not only_read:
        return Look(outcome, marks, writes, item.adoption)
    if not (outcome.state or {}).get("present"):
        gone = NotReady(f"{item.key}: was adopted, but no longer exists: the next try makes it")
        return Look(replace(outcome, fault=gone), marks, writes, None)
    return Look(replace(outcome, fault=_differs(item, writes)), (), (), _left(item))


def _differs(item: Item, writes: Sequence[str]) -> Fault:
    return Differs(f"{item.key}: existed before, and differs: {'; '.join(writes)}")


def _left(item: Item) -> Adoption:
    return Adoption.SEEN if item.adoption == Adoption.SEEN else Adoption.DIFFERS
