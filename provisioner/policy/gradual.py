"""Gradual: what people lose in steps that are each too small to count.

Promises: an object is compared with what it was before its submitter's first change within the time
of `mass`. People whom looks at everything close count together over all lanes, and over a while, as
such a look comes in many batches. Leaves out: how many people are too many (`policy`); a repair of
named objects, which is judged as a request (`review`). What was is kept in memory only: a guard
against mistakes may forget it at a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from provisioner.contract import Claim, Key
from provisioner.journal.journal import Journal
from provisioner.journal.queries import holdings
from provisioner.objects.losses import Nature
from provisioner.policy.policy import Policy

Former = dict[Key, tuple[float, Sequence[Claim]]]
"""When a submitter first changed an object, and its claims before that."""

TOGETHER = 600.0
"""The fewest seconds for which batches count together."""


class Gradual:
    """The objects that each submitter changed a moment ago."""

    def __init__(self, nature: Nature, window: float) -> None:
        """window: the seconds for which changes of one submitter count together."""
        self._nature = nature
        self._window = window
        self._former: dict[int, Former] = {}

    def step(self, uid: int, now: float) -> Step:
        """Return the next step of a submitter."""
        since = now - self._window
        former = self._former.get(uid, {})
        self._former[uid] = {key: was for key, was in former.items() if was[0] > since}
        return Step(self._nature, self._former[uid], now)


class Step:
    """One request that may change objects. former: its submitter's, which `allow` changes."""

    def __init__(self, nature: Nature, former: Former, now: float) -> None:
        self._shuts = nature.shuts
        self._former = former
        self._now = now
        self._judged: dict[Key, Sequence[Claim]] = {}
        self.nature = replace(nature, shuts=self._shuts_by_now)

    def allow(self, *, seen: bool) -> None:
        """Keep what the objects were before it. seen: the next step counts from here instead."""
        for key, before in self._judged.items():
            if seen:
                self._former.pop(key, None)
            else:
                self._former.setdefault(key, (self._now, before))

    def _shuts_by_now(self, key: Key, before: Sequence[Claim], after: Sequence[Claim]) -> bool:
        """Return True if people are shut out by this step, or by it and those before it."""
        self._judged[key] = before
        starts = [before, self._former[key][1]] if key in self._former else [before]
        return any(self._shuts(key, start, after) for start in starts)


class Closings:
    """Counts who loses something by looks, for one service."""

    def __init__(self, book: Journal, rules: Policy) -> None:
        self._journal = book
        self._rules = rules
        self._lately: dict[str, float] = {}
        self._lock = threading.Lock()

    def too_many(self, keys: Collection[Key]) -> str:
        """Return why objects may not be closed; '' if they may, and then their people count."""
        if not keys:
            return ""
        with self._lock, self._journal.reading() as conn:
            losers, now = holdings.closing(conn, keys), time.monotonic()
            since = now - max(TOGETHER, self._rules.at_once)
            lately = {person: at for person, at in self._lately.items() if at > since}
            crowd = losers | lately.keys() if losers else losers
            known = len(crowd)
            if known > self._rules.harmless:
                known = len(holdings.people(conn) | crowd)
            answer = self._rules.repair(len(crowd), known)
            self._lately = lately if answer else {**lately, **dict.fromkeys(losers, now)}
        return answer.why if answer else ""
