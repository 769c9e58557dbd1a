"""Settings: what an object should be now, and which of its settings are ours. Pure.

Promises: an adopted object that differed when a suspension closed it opens as it was. Everything
comes from its claims and from what the ledger has of it. Leaves out: planning and writing
(`converge`), and the arithmetic of what was set before (`objects.applied`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias, cast

from provisioner.contract import Handler, Json, State, Want
from provisioner.contract.abilities import Keeps, Reopens, Restores, able
from provisioner.objects.applied import Applied, left, noted, settled, unclaimed
from provisioner.objects.items import Item

_Names: TypeAlias = Collection[str]


def wanted(handler: Handler, item: Item, state: State) -> Want:
    """Merge an item's claims; tell the handler the object's identity and what was set on it."""
    want = handler.merge(item.key, item.claims, item.prior)
    if item.reopens and able(handler, Reopens):
        want = handler.as_before(item.key, want, state, item.prior or {})
    elif item.open and item.applied and able(handler, Restores):
        gone = left(item.applied, handler.sets(item.key, want), _disputed(want))
        want = {**want, "left": gone} if gone else want
    if item.identity is not None and able(handler, Keeps):
        want = {**want, "was": item.identity}
    return want


def noted_now(handler: Restores, item: Item, want: Want, state: State) -> Applied:
    """Return what is set on an open object, by its want and its state."""
    return _noted(handler, item, handler.sets(item.key, want), state)


def _noted(handler: Restores, item: Item, sets: Mapping[str, Json], state: State) -> Applied:
    taken = item.adoption is not None
    if not state.get("present"):
        # A new object has nothing of what was there before.
        return noted({}, sets, {}, taken=taken)
    return noted(item.applied, sets, _now(handler, item, state), taken=taken)


def applied(
    handler: Restores, item: Item, want: Want, state: State, *, as_wanted: bool
) -> Applied | None:
    """Return what claims have set on an object; None keeps what was recorded.

    as_wanted: nothing is left to write but our mark.
    """
    there = state.get("present")
    if not item.claims:
        return unclaimed(item.applied or {}, _now(handler, item, state)) if there else {}
    if not (there and item.open and as_wanted) or item.reopens:
        return None
    sets = handler.sets(item.key, want)
    return settled(_noted(handler, item, sets, state), sets, _disputed(want))


def _now(handler: Restores, item: Item, state: State) -> Mapping[str, Json]:
    """Return the settings of an existing object, without those that close it."""
    now = handler.holds(item.key, state)
    if item.prior is None:
        return now
    # The closing settings cover the saved ones, and go when the object opens.
    return {**now, **handler.holds(item.key, {**state, **item.prior})}


def _disputed(want: Want) -> Collection[str]:
    return cast(_Names, want.get("disputed") or ())
