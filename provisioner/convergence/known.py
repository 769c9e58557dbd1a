"""Known: what a look that left nothing to do was about, so that an equal one needs no plan.

Promises: `same` is True only if an object is merely looked at again, and the claims that count,
with whether each is suspended, all that the ledger keeps of it, and what its backend says are word
for word those of the last look. That look wrote nothing, had no fault, and would have recorded what
is recorded; any other look makes the object unknown. Only open objects that are there are known: of
all others more is asked. In memory only: what a plan is depends on the program and on the
configuration, which are those of a process. Leaves out: reading the backend (`converge`).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from provisioner.contract import Key, State
from provisioner.convergence.converge import Outcome
from provisioner.objects.items import Item

SIZE = 16
"""The bytes of a digest."""


class Known:
    """The objects of one lane that were as wanted; each takes some 200 bytes."""

    def __init__(self) -> None:
        self._digests: dict[Key, bytes] = {}

    def same(self, item: Item, state: State) -> bool:
        """Return True if the last look at an object saw the same, and left nothing to do."""
        kept = self._digests.get(item.key)
        return kept is not None and item.settled and kept == _digest(item, state)

    def note(self, outcomes: Iterable[Outcome]) -> None:
        """Keep what was recorded of objects, in place of what was known of them."""
        for outcome in outcomes:
            if outcome.same:
                continue
            if outcome.state is not None and _rests(outcome):
                self._digests[outcome.item.key] = _digest(outcome.item, outcome.state)
            else:
                self._digests.pop(outcome.item.key, None)


def _rests(outcome: Outcome) -> bool:
    """Return True if a second look with the same values would neither write nor record more."""
    item, state = outcome.item, outcome.state or {}
    if outcome.fault is not None or outcome.changed or not (item.open and state.get("present")):
        return False
    kept = (item.adoption, item.identity or None, item.applied)
    identity = item.identity if outcome.identity is None else outcome.identity
    applied = item.applied if outcome.applied is None else outcome.applied
    return item.prior is None and kept == (outcome.adoption, identity or None, applied)


def _digest(item: Item, state: State) -> bytes:
    claims = [(c.claimant, c.want, c.suspended, c.source, c.order) for c in item.claims]
    kept = item.prior, item.adoption, item.identity, item.applied, item.awaited
    return blake2b(repr((claims, kept, state)).encode(), digest_size=SIZE).digest()
