"""Gradual: what people lose in steps that are each too small to count.

Promises: an object is compared with what it was before its submitter's first change within the time
of `mass`. People whom looks at everything close count together over all lanes, and over a while, as
such a look comes in many batches. Leaves out: how many people are too many (`policy`); a repair of
named objects, which is judged as a request (`review`). What was is kept in memory, and told to
other processes that accept (`Others`): a guard against mistakes may forget it at a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from provisioner.contract import Claim, Key
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.queries import holdings
from provisioner.objects.losses import Nature
from provisioner.policy.policy import Policy

Former = dict[Key, tuple[float, Sequence[Claim]]]
"""When a submitter first changed an object, and its claims before that."""

NOTHING: Mapping[Key, Sequence[Claim]] = MappingProxyType({})

TOGETHER = 600.0
"""The fewest seconds for which batches count together."""


class Others(Protocol):
    """Other processes that accept: what they allow counts here, too."""

    def hear(
        self,
        conn: Connection,
        uid: int,
        now: float,
        out: Collection[str] = (),
        was: Mapping[Key, Sequence[Claim]] = NOTHING,
        seen: Collection[Key] = (),
    ) -> None:
        """Tell them of a submitter's request, in the transaction that accepts it.

        out: whom it shuts out; was: claims on objects before it; seen: objects that count from
        here.
        """


class Nobody:
    """There are no others."""

    def hear(
        self,
        conn: Connection,
        uid: int,
        now: float,
        out: Collection[str] = (),
        was: Mapping[Key, Sequence[Claim]] = NOTHING,
        seen: Collection[Key] = (),
    ) -> None:
        """Do nothing."""


class Gradual:
    """The objects that each submitter changed a moment ago, and whom its requests shut out."""

    def __init__(self, nature: Nature, window: float) -> None:
        """window: the seconds for which changes of one submitter count together."""
        self._nature = nature
        self.window = window
        self._former: dict[int, Former] = {}
        self._shut_out: dict[int, dict[str, float]] = {}
        self.others: Others = Nobody()

    def lately(self, uid: int, now: float) -> set[str]:
        """Return the users whom a submitter's requests shut out a moment ago.

        A broken export seldom arrives as one request.
        """
        since = now - self.window
        shut_out = self._shut_out.get(uid, {})
        # A clock that was ahead makes nobody count for longer.
        kept = {user: min(at, now) for user, at in shut_out.items() if at > since}
        self._shut_out[uid] = kept
        return set(kept)

    def shut(self, conn: Connection, uid: int, people: Collection[str], now: float) -> None:
        """Count people who are shut out by a request that is allowed."""
        self._shut_out.setdefault(uid, {}).update(dict.fromkeys(people, now))
        self.others.hear(conn, uid, now, out=people)

    def allow(self, conn: Connection, uid: int, step: Step, *, seen: bool) -> None:
        """Keep what objects were before a step that is allowed. seen: the next one counts from
        here instead."""
        changed = step.allow(seen=seen)
        if changed and seen:
            self.others.hear(conn, uid, step.now, seen=changed)
        elif changed:
            self.others.hear(conn, uid, step.now, was=changed)

    def learn(self, uid: int, at: float, told: Mapping[str, Any]) -> None:
        """Take note of what another process has allowed."""
        self._shut_out.setdefault(uid, {}).update(dict.fromkeys(told.get("out", ()), at))
        former = self._former.setdefault(uid, {})
        for key in told.get("seen", ()):
            former.pop(key, None)
        for key, was in told.get("was", {}).items():
            former.setdefault(key, (at, tuple(Claim(**claim) for claim in was)))

    def step(self, uid: int, now: float) -> Step:
        """Return the next step of a submitter."""
        since = now - self.window
        former = self._former.get(uid, {})
        # A clock that was ahead makes nothing count for longer.
        self._former[uid] = {
            key: (min(at, now), was) for key, (at, was) in former.items() if at > since
        }
        return Step(self._nature, self._former[uid], now)


class Step:
    """One request that may change objects. former: its submitter's, which `allow` changes."""

    def __init__(self, nature: Nature, former: Former, now: float) -> None:
        self._shuts = nature.shuts
        self._former = former
        self.now = now
        self._judged: dict[Key, Sequence[Claim]] = {}
        self.nature = replace(nature, shuts=self._shuts_by_now)

    def allow(self, *, seen: bool) -> dict[Key, Sequence[Claim]]:
        """Keep what the objects were before it, unless that is known; return what is new.

        seen: forget it instead, as the next step counts from here.
        """
        if seen:
            return {key: () for key in self._judged if self._former.pop(key, None) is not None}
        new = {key: was for key, was in self._judged.items() if key not in self._former}
        self._former.update({key: (self.now, was) for key, was in new.items()})
        return new

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
