"""Pending: what the walks of a batch write, collected until each kind goes to the driver at once.

Promises: what was collected is written in the order in which it came, kind by kind. Leaves out:
reading it before (`advance` writes it first), and the events of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, step_moves
from provisioner.system.ulid import RequestId


@dataclass(slots=True)
class Pending:
    """steps, parts: that moved; bound: claims of requests that get their wants; begun: instances
    whose objects became due, and True for those that a step waits for."""

    steps: list[step_moves.Step] = field(default_factory=list)
    parts: list[step_moves.Parts] = field(default_factory=list)
    bound: dict[RequestId, list[ledger.Entry]] = field(default_factory=dict)
    begun: dict[str, bool] = field(default_factory=dict)

    def begin(self, instance: str, *, needed: bool) -> None:
        """Note that objects of an instance became due. needed: a step waits for them."""
        self.begun[instance] = needed or self.begun.get(instance, False)

    def bind(self, request: RequestId, entries: Sequence[ledger.Entry]) -> None:
        """Give claims of a request their wants, and let it wait for their objects as they are."""
        self.bound.setdefault(request, []).extend(entries)

    def write(self, conn: Connection, now: float) -> None:
        """Write all of it, and hold nothing more."""
        ledger.bind(conn, self.bound)
        step_moves.set_steps(conn, self.steps, now)
        step_moves.set_parts(conn, self.parts)
        step_moves.stamp(conn, self.bound)
        self.steps, self.parts, self.bound = [], [], {}
