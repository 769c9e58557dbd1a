"""Walks: a request's steps begin when they may, and what that writes goes to the driver at once.

Promises: what the walks of a batch write is collected, and written in the order in which it came,
kind by kind. Leaves out: which requests walk, and what becomes of them then (`advance`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from provisioner.contract import Fault
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.objects.errors import Error
from provisioner.objects.states import StepState
from provisioner.steps import binding, moves, remarks
from provisioner.steps.binding import Progress
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
        """Give claims of a request their wants."""
        self.bound.setdefault(request, []).extend(entries)

    def write(self, conn: Connection, now: float) -> None:
        """Write all of it, and hold nothing more."""
        ledger.bind(conn, self.bound)
        step_moves.set_steps(conn, self.steps, now)
        step_moves.set_parts(conn, self.parts)
        self.steps, self.parts, self.bound = [], [], {}


@dataclass(slots=True)
class Walk:
    """One request, whose steps begin when they may.

    steps: by name, in the route's order; states: of objects; pending, events: get what is to be
    written, and what happens; partial: other users have more objects in them, so that no step ends;
    stopped: something ended before a lane got it.
    """

    conn: Connection
    record: request_rows.Record
    steps: dict[str, step_rows.StepRecord]
    progress: Progress
    now: float
    events: list[audit.Event]
    states: binding.States
    pending: Pending
    partial: bool = False
    stopped: bool = False

    def go(self) -> None:
        """Make moves until nothing moves any more."""
        while moving := {
            name: some for name, step in self.steps.items() if (some := moves.of(step, self.steps))
        }:
            for name, some in moving.items():
                for move in some:
                    self._make(move)
                ends = moves.ending(self.steps[name])
                if ends is not None and not self.partial:
                    self._make(ends)

    def _make(self, move: moves.Move) -> None:
        """Write a move, and update its step in memory."""
        match move:
            case moves.Begin():
                self._begin(move)
                return
            case moves.Stop():
                self.stopped = True
                self._write_parts(move.step, move.users, move.state, move.error)
            case moves.End():
                self._set(move.step, move.state, move.error)
        self.steps[move.step] = moves.after(self.steps[move.step], move)

    def _begin(self, move: moves.Begin) -> None:
        """Bind objects and make them due; those that cannot be bound fail."""
        step = self.steps[move.step]
        try:
            listed = list(self.steps.values())
            made = binding.bound(self.states, self.record, step, listed, move.parts, self.progress)
        except Fault as fault:
            for each in moves.by_user(move):
                self._make(each)
            if len(move.users) < 2:
                self._make(moves.unbound(move, self._why(step, fault)))
            return
        entries = [ledger.Entry(c.key, c.claimant, made.instance, c.want) for c in made.claims]
        self.pending.bind(self.record.id, entries)
        keys = {entry.key for entry in entries}
        touched = object_rows.touch(self.conn, keys, Turn(self.now, self.record.writer))
        self._write_parts(step.name, move.users, StepState.DUE)
        self.pending.begin(made.instance, needed=moves.is_needed(step, listed))
        self.steps[step.name] = moves.after(step, move)
        if touched < len(keys):
            self.stopped = True
            self.pending.write(self.conn, self.now)
            step_moves.finish_untracked(self.conn, self.record.id)
            self.steps[step.name] = replace(step_rows.whole(self.conn, step), state=StepState.DUE)

    def _write_parts(
        self, name: str, users: Collection[str], state: StepState, error: Error | None = None
    ) -> None:
        """Write some users' parts of a step, which becomes due with them."""
        if self.steps[name].state == StepState.WAITING:
            self._set(name, StepState.DUE)
        self.pending.parts.append(step_moves.Parts(self.record.id, name, users, state, error))

    def _set(self, name: str, state: StepState, error: Error | None = None) -> None:
        """Write the state of a step."""
        step = step_moves.Step(self.record.id, name, state, error)
        self.pending.steps.append(step)
        self.events.append(step.event)

    def _why(self, step: step_rows.StepRecord, fault: Fault) -> Error:
        """Return why a step cannot be bound: the suspension that keeps it unmade, or the fault."""
        subjects = sorted({n for p in step.objects for n in ledger.parts(p.claimant)})
        closed = remarks.suspension(self.conn, subjects, self.record.writer)
        if not closed:
            return Error.of(fault)
        return Error(
            type="NotReady",
            message=f"{closed}: nothing new is made until that is resumed",
            advice=f"resume it, then `provisioner retry {self.record.id}`",
        )
