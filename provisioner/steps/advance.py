"""Advancing: what begins next in a request, and when the request has its outcome.

Promises: an object becomes due when all that its step needs is done, with parameters bound to what
was read back of the objects before it; where a step goes through users, for each user by
themselves. All is written inside the caller's transaction. Leaves out: deciding what moves
(`moves`, pure), files and lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from provisioner.contract import Fault, Key, Want
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.objects.errors import Error
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.steps import asides, binding, disputes, moves, remarks
from provisioner.steps.binding import Progress


def advance(
    conn: Connection, ids: Collection[str], progress: Progress, now: float
) -> dict[str, RequestState]:
    """Make steps due whose needs are met; return the outcome of requests that are over.

    The outcomes are written. Requests that are held are left as they are.
    """
    if not ids:
        return {}
    loaded = request_rows.load(conn, ids)
    outlines = step_rows.outlines_of(conn, ids)
    split = step_rows.with_users_waiting(conn, ids)
    # Whose steps only end one by one may have tens of thousands of objects: they are left unread.
    moving = {
        who
        for who, listed in outlines.items()
        if loaded[who].state in RUNNING and moves.may_move(listed, split=who in split)
    }
    found = step_rows.steps_of(conn, moving - split)
    found.update(step_rows.standings_of(conn, moving & split))
    outcomes: dict[str, RequestState] = {}
    for who, listed in found.items():
        walk = _Walk(conn, loaded[who], {step.name: step for step in listed}, progress, now)
        walk.go()
        outcome = moves.outcome(walk.steps.values())
        if outcome is not None:
            outcomes[who] = outcome
        found[who] = list(walk.steps.values())
    done = [
        who for who, outcome in outcomes.items() if outcome == RequestState.DONE and who in split
    ]
    found.update(step_rows.steps_of(conn, done))
    _remark(conn, outcomes, loaded, found, progress)
    request_rows.end_requests(conn, outcomes, now)
    return outcomes


def _remark(
    conn: Connection,
    outcomes: dict[str, RequestState],
    loaded: Mapping[str, request_rows.Record],
    found: Mapping[str, Sequence[step_rows.StepRecord]],
    progress: Progress,
) -> None:
    """Note what else is true of requests that are done; those that a newer one replaced are not."""

    def asks(who: str, name: str) -> Mapping[tuple[Key, str], Want | None]:
        return binding.asked(conn, loaded[who], found[who], name, progress)

    done = {who: found[who] for who, outcome in outcomes.items() if outcome == RequestState.DONE}
    said = remarks.remarks(conn, done, asks)
    keys = {
        who: {part.key: step.instance for step in listed if step.routed for part in step.objects}
        for who, listed in done.items()
    }
    # What a verb noted of itself stands.
    keys = {who: some for who, some in keys.items() if some}
    of_handlers = asides.of(conn, keys, progress)
    for who, told in disputes.of(conn, keys, progress).items():
        remark = said.get(who, remarks.Remark())
        if remark.newer:
            outcomes[who] = RequestState.SUPERSEDED
        before = loaded[who].problems
        after = disputes.renewed(before, told)
        notes = (*remark.notes, *of_handlers.get(who, ()))
        after += [{"line": None, "key": "", "message": text} for text in notes]
        if after != list(before or ()):
            request_rows.set_problems(conn, who, after)


@dataclass(slots=True)
class _Walk:
    """One request, whose steps begin as far as they may. steps: by name, in the route's order."""

    conn: Connection
    record: request_rows.Record
    steps: dict[str, step_rows.StepRecord]
    progress: Progress
    now: float

    def go(self) -> None:
        """Make moves until nothing moves any more."""
        while found := {
            name: some for name, step in self.steps.items() if (some := moves.of(step, self.steps))
        }:
            for name, some in found.items():
                for move in some:
                    self._make(move)
                ends = moves.ending(self.steps[name])
                if ends is not None:
                    self._make(ends)

    def _make(self, move: moves.Move) -> None:
        """Write a move, and keep its step in mind as it is then."""
        match move:
            case moves.Begin():
                self._begin(move)
                return
            case moves.Stop():
                self._write_parts(move.step, move.users, move.state, move.error)
            case moves.End():
                step_moves.set_step(
                    self.conn, self.record.id, move.step, move.state, self.now, error=move.error
                )
        self.steps[move.step] = moves.after(self.steps[move.step], move)

    def _begin(self, move: moves.Begin) -> None:
        """Bind objects and make them due; those that cannot be bound fail."""
        step = self.steps[move.step]
        try:
            listed = list(self.steps.values())
            made = binding.bound(self.conn, self.record, step, listed, move.parts, self.progress)
        except Fault as fault:
            for each in moves.by_user(move):
                self._make(each)
            if len(move.users) < 2:
                self._make(moves.unbound(move, self._why(step, fault)))
            return
        entries = [ledger.Entry(c.key, c.claimant, made.instance, c.want) for c in made.claims]
        ledger.bind(self.conn, entries, self.record.id)
        keys = {entry.key for entry in entries}
        touched = object_rows.touch(self.conn, keys, self.now)
        self._write_parts(step.name, move.users, StepState.DUE)
        step_moves.stamp(self.conn, [self.record.id])
        self.steps[step.name] = moves.after(step, move)
        if touched < len(keys):
            step_moves.finish_untracked(self.conn, self.record.id)
            self.steps[step.name] = replace(step_rows.whole(self.conn, step), state=StepState.DUE)

    def _write_parts(
        self, name: str, users: Collection[str], state: StepState, error: Error | None = None
    ) -> None:
        """Write some users' parts of a step, which is due by then."""
        if self.steps[name].state == StepState.WAITING:
            step_moves.set_step(self.conn, self.record.id, name, StepState.DUE, self.now)
        step_moves.set_objects(self.conn, self.record.id, name, users, state, error=error)

    def _why(self, step: step_rows.StepRecord, fault: Fault) -> Error:
        """Say why a step cannot be bound: where a suspension keeps it unmade, that is why."""
        subjects = sorted({n for p in step.objects for n in ledger.parts(p.claimant)})
        closed = remarks.suspension(self.conn, subjects, self.record.writer)
        if not closed:
            return Error.of(fault)
        return Error(
            type="NotReady",
            message=f"{closed}: what is not there is not made meanwhile",
            advice=f"resume it, then `provisioner retry {self.record.id}`",
        )
