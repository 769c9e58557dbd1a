"""Gradual: what an object was before a submitter changed it in steps.

Promises: nobody shuts people out by steps that are each too small to count: an object is compared
with what it was before the submitter's first change within the time of `mass`. Leaves out: how many
people are too many (`policy`). What was is kept in memory only: a guard against mistakes may forget
it at a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from provisioner.contract import Claim, Key
from provisioner.objects.losses import Nature


class Gradual:
    """The objects that each submitter changed a moment ago, with their claims before."""

    def __init__(self, nature: Nature, window: float) -> None:
        """window: the seconds for which changes of one submitter count together."""
        self._nature = nature
        self._window = window
        self._former: dict[int, dict[Key, tuple[float, Sequence[Claim]]]] = {}
        self._judged: dict[Key, Sequence[Claim]] = {}

    def nature(self, uid: int, now: float) -> Nature:
        """Return what handlers know about objects, compared with what these were before."""
        since = now - self._window
        kept = {key: was for key, was in self._former.get(uid, {}).items() if was[0] > since}
        self._former[uid] = kept
        self._judged = {}

        def shuts(key: Key, before: Sequence[Claim], after: Sequence[Claim]) -> bool:
            self._judged[key] = before
            starts = [before, kept[key][1]] if key in kept else [before]
            return any(self._nature.shuts(key, start, after) for start in starts)

        return replace(self._nature, shuts=shuts)

    def allow(self, uid: int, now: float, *, approved: bool) -> None:
        """Keep what the objects of the request that was just judged were before it.

        approved: a second person has seen the change, so that the next one counts from here.
        """
        former = self._former.setdefault(uid, {})
        for key, before in self._judged.items():
            if approved:
                former.pop(key, None)
            else:
                former.setdefault(key, (now, before))
