"""What was asked for in a sequence: each request with its parts, and how far it is.

Promises: plain values. Leaves out: what has to exist because of them (`oracle`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

Pair = tuple[str, str]
"""An object, and for whom."""


@dataclass
class Part:
    """One claim of a request. after: objects that it begins after; late: one of them without which
    it cannot begin, and fails; takes: its value is that object's; known: it takes nothing from an
    earlier step, so that a manifest lists all of it; begun: when, 0 if it has not."""

    value: str | None
    after: tuple[str, ...] = ()
    late: str = ""
    takes: bool = False
    known: bool = True
    failed: bool = False
    begun: int = 0
    over: bool = False
    made: bool = False


@dataclass
class Ask:
    """One request, and its progress."""

    name: str
    subject: str
    parts: dict[Pair, Part] = field(default_factory=dict)
    removes: bool = False
    running: bool = True
    accepted: int = 0
    taken: set[Pair] = field(default_factory=set)
    missed: set[Pair] = field(default_factory=set)
    reason: str = ""

    def counts(self, pair: Pair) -> bool:
        """Return True if what it says about a claim counts."""
        if pair in self.parts:
            return self.running or self.parts[pair].made
        return self.running or self.removes or pair in self.taken

    def ended(self) -> bool:
        """Return True if no part of it waits any more: each part is over, or will never begin."""
        missed: set[str] = set()
        while True:
            before = len(missed)
            for (key, _), part in self.parts.items():
                if not part.over and (part.failed or not missed.isdisjoint(part.after)):
                    missed.add(key)
            if len(missed) == before:
                return all(p.over or key in missed for (key, _), p in self.parts.items())
