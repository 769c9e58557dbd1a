"""Changes: what a request would do to whom, as shown when it was held for a person.

Promises: an operator sees what was compared, and releases exactly that. It is an event of the
request, so that the audit trail has it. Leaves out: comparing (`reconcile`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from provisioner.journal.schema import events
from provisioner.system.ulid import RequestId

HELD = "held"
"""The kind of the event."""

MOST = 10_000
"""The most subjects listed of each kind; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What was shown.

    people: who would lose something; subjects: those of a manifest that are listed, by what happens
    to them; counts: how many there are in all; left: data that would be left, and for what.
    """

    people: Collection[str]
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    left: Collection[str] = ()

    def facts(self) -> dict[str, Any]:
        """Return them as the event keeps them."""
        listed = {what: list(names[:MOST]) for what, names in self.subjects.items()}
        facts = {"people": sorted(self.people), "subjects": listed, "counts": dict(self.counts)}
        return {**facts, "left": sorted(self.left)} if self.left else facts

    def cover(self, other: Changes) -> bool:
        """Return True if nothing of other changes is new: who released these released those."""
        return set(other.people) <= set(self.people) and all(
            set(names) <= set(self.subjects.get(what, ()))
            or (len(names) > MOST and len(names) <= self.counts.get(what, 0))
            for what, names in other.subjects.items()
        )

    def kinds(self) -> set[str]:
        """Return the kinds of the subjects: user, project, allocation."""
        return {name.partition(":")[0] for names in self.subjects.values() for name in names}

    def lines(self) -> list[str]:
        """Return what happens to each subject, one line each."""
        texts = [f"left, and no data is moved: {data}" for data in self.left]
        if not self.subjects:
            texts += [f"{name}: loses something" for name in self.people]
        for what, names in self.subjects.items():
            texts += [f"{name}: {what}" for name in names]
            more = self.counts.get(what, 0) - len(names)
            if more > 0:
                texts.append(f"and {more} more: {what}")
        return texts


def shown(conn: Connection, request: RequestId) -> Changes | None:
    """Return what a request would have changed when it was last held; None if nothing is known."""
    statement = (
        select(events.c.facts)
        .where(events.c.request == request, events.c.kind == HELD, events.c.facts.is_not(None))
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    facts = conn.scalar(statement)
    if facts is None:
        return None
    found = json.loads(facts) if isinstance(facts, str) else facts
    if "subjects" not in found:
        return None
    left = found.get("left", ())
    return Changes(found.get("people", ()), found["subjects"], found["counts"], left)
