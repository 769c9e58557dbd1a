"""Existing objects: what it would take to make them as wanted, and whether that is allowed.

Promises: reads only. An adopted object is written if it is as wanted, if somebody said that it
should be changed, or to take access away. Until then its difference is reported. What others opened
of ours is closed by another look, unless that takes something from a crowd. Leaves out: adopting
(`adoption`), who loses something (`policy`), and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from provisioner.contract import OWNING, Change, Conflict, Fault, Handler, Key, NotReady
from provisioner.contract.abilities import Reopens, able
from provisioner.convergence.calls.reads import MOMENT
from provisioner.convergence.converge import Outcome, Same, Save, converge, dry_run, new
from provisioner.objects.items import Item
from provisioner.objects.settings import wanted
from provisioner.objects.states import Adoption

Weigh = Callable[[Collection[Key]], str]
"""Returns why objects may not be closed at once, as too many people would lose something; '' if
they may."""


class Differs(Conflict):
    """The object existed before, and is not as wanted."""

    advice = (
        "change it by hand, or ask for what is there; to let the service change it, put "
        "`adopt: true` into its request, or run `provisioner adopt --differing`"
    )


class Crowd(Fault):
    """Others opened the object, and closing it takes something from too many people at once."""

    advice = (
        "look at `provisioner drift`; `provisioner drift --repair` asks for it by name, and shows "
        "who loses something to the second person who releases it"
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
    to give it back, unless a claim says `adopt: true`."""
    if item.takes_over:
        return False
    if item.claims and not item.open:
        return item.adoption == Adoption.SEEN
    if item.reopens and able(handler, Reopens):
        return False
    return item.adoption in (Adoption.NEW, Adoption.SEEN) or item.as_found


def as_taken(item: Item) -> Item:
    """Put into the claims on an adopted object that taking it over is allowed."""
    if item.adoption is None:
        return item
    claims = tuple(
        replace(claim, want={**claim.want, "adopt": True}) if "adopt" in claim.want else claim
        for claim in item.claims
    )
    return replace(item, claims=claims)


def look(handler: Handler, items: Iterable[Item], moment: float = MOMENT) -> list[Look]:
    """Return what converging objects would write; a fault says where that is not allowed."""
    items_by_key = {item.key: item for item in items}
    seen = dry_run(handler, [as_taken(item) for item in items_by_key.values()], moment)
    return [
        _look(guarded(handler, item), changes, _of(items_by_key[item.key], outcome))
        for item, changes, outcome in seen
    ]


def _of(item: Item, outcome: Outcome) -> Outcome:
    """Return an outcome with the item as it was given."""
    return outcome if outcome.item is item else replace(outcome, item=item)


def take(
    handler: Handler,
    items: Sequence[Item],
    save: Save,
    moment: float = MOMENT,
    same: Same = new,
    most: int | None = None,
) -> list[Outcome]:
    """Converge objects that may be written, and say how each is now taken over.

    One that was closed and differs, or was never compared, opens as it was. One that opened so is
    looked at once more: it converged if it is as wanted, and else its fault says what differs.
    """
    outcomes = converge(handler, [as_taken(item) for item in items], save, moment, same, most)
    opened = [o for o in outcomes if o.item.reopens and o.fault is None]
    again = look(handler, [replace(o.item, prior=None) for o in opened], moment) if opened else []
    differing = {seen.outcome.item.key: seen for seen in again if seen.outcome.fault is not None}
    given = {item.key: item for item in items}
    return [
        _reopened(outcome, seen)
        if (seen := differing.get(outcome.item.key)) is not None
        else _taken(handler, given[outcome.item.key], outcome)
        for outcome in outcomes
    ]


def _taken(handler: Handler, item: Item, outcome: Outcome) -> Outcome:
    adoption = _after(handler, item, outcome)
    return outcome if outcome.adoption is adoption else replace(outcome, adoption=adoption)


def _reopened(outcome: Outcome, seen: Look) -> Outcome:
    return replace(outcome, fault=seen.outcome.fault, adoption=Adoption.DIFFERS, reopened=True)


def _after(handler: Handler, item: Item, outcome: Outcome) -> Adoption | None:
    """Return how an object is taken over after a try to make it as wanted.

    item: with its claims as they are made, without the leave that an adoption gives.
    """
    if outcome.same or item.adoption is None or not (outcome.changed or outcome.fault is None):
        return item.adoption
    if not item.claims:
        return None
    there = (outcome.state or {}).get("present")
    if not item.open:
        may_differ = item.adoption in (Adoption.NEW, Adoption.DIFFERS) and outcome.fault is None
        return Adoption.DIFFERS if may_differ and there else Adoption.OURS
    return None if outcome.fault is not None or _is_ours(handler, item, outcome) else Adoption.OURS


def _is_ours(handler: Handler, item: Item, outcome: Outcome) -> bool:
    """Return True if an object is ours without its adoption, by what its backend says.

    A membership never is by itself: it hangs on the mark of its group, which may still lack it.
    """
    state = outcome.state or {}
    try:
        want = wanted(handler, replace(item, adoption=None), state)
        return not handler.plan(item.key, want, state)
    except Exception:  # a conflict, or what `converge` has already told
        return False


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
        return Look(outcome, marks, (), _fitting(item) if taken else None)
    if not only_read:
        return Look(outcome, marks, writes, item.adoption)
    if not (outcome.state or {}).get("present"):
        gone = NotReady(f"{item.key}: was adopted, but no longer exists: the next try makes it")
        return Look(replace(outcome, fault=gone), marks, writes, None)
    return Look(replace(outcome, fault=_differs(item, writes)), (), (), _left(item))


def _fitting(item: Item) -> Adoption:
    """Return how an object is taken over with which nothing would be done.

    One that is closed, as a suspension wants it, was perhaps closed by an admin: whether it is as
    wanted shows when it is to be opened.
    """
    closed = bool(item.claims) and not item.open and item.adoption is not Adoption.OURS
    return Adoption.DIFFERS if closed or item.reopens else Adoption.OURS


def _differs(item: Item, writes: Sequence[str]) -> Fault:
    return Differs(f"{item.key}: existed before, and differs: {'; '.join(writes)}")


def _left(item: Item) -> Adoption:
    return Adoption.SEEN if item.adoption == Adoption.SEEN else Adoption.DIFFERS


def unweighed(keys: Collection[Key]) -> str:
    """Return '': anybody may lose anything."""
    return ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The result of a look. outcomes: of objects that are not written; items: the others."""

    outcomes: Sequence[Outcome]
    items: Sequence[Item]


def weighed(
    handler: Handler, items: Sequence[Item], weigh: Weigh, moment: float = MOMENT
) -> Weighed:
    """Look at objects that are only looked at again, before any of them is closed."""
    again = [item for item in items if item.settled and not item.open]
    if not again:
        return Weighed((), items)
    looks = {seen.outcome.item.key: seen for seen in look(handler, again, moment)}
    why = weigh([key for key, seen in looks.items() if seen.writes])
    over = {key: _over(seen, why) for key, seen in looks.items()}
    outcomes = [outcome for outcome in over.values() if outcome is not None]
    return Weighed(outcomes, [item for item in items if over.get(item.key) is None])


def _over(seen: Look, why: str) -> Outcome | None:
    """Return the outcome of an object that is not written; None if it may be."""
    outcome = replace(seen.outcome, adoption=seen.outcome.item.adoption)
    if outcome.fault is not None:
        return outcome
    if seen.writes and why:
        text = f"{outcome.item.key}: left as it is: {'; '.join(seen.writes)}: {why}"
        return replace(outcome, fault=Crowd(text))
    whole = not (seen.writes or seen.marks or outcome.item.adoption)
    return outcome if whole else None
