"""Advancing: what begins next in a request, and when the request has its outcome.

Promises: an object becomes due when all that its step needs is done, with parameters bound to what
was read back of the objects before it; where a step goes through users, for each user by
themselves. All is written inside the caller's transaction. Leaves out: files and lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from provisioner.contract import Fault, Key, Want
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.objects.errors import Error
from provisioner.objects.states import OVER, RUNNING, RequestState, StepState
from provisioner.steps import asides, binding, disputes, readiness, remarks
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
        who for who, steps_ in outlines.items() if _moves(loaded[who], steps_, split=who in split)
    }
    found = step_rows.steps_of(conn, moving - split)
    found.update(step_rows.standings_of(conn, moving & split))
    outcomes: dict[str, RequestState] = {}
    for who, listed in found.items():
        walk = _Walk(conn, loaded[who], {step.name: step for step in listed}, progress, now)
        walk.go()
        states = {step.state for step in walk.steps.values()}
        if states.issubset(OVER):
            outcomes[who] = (
                RequestState.DONE if states <= {RequestState.DONE} else RequestState.FAILED
            )
        found[who] = list(walk.steps.values())
    done = [
        who for who, outcome in outcomes.items() if outcome == RequestState.DONE and who in split
    ]
    found.update(step_rows.steps_of(conn, done))
    _remark(conn, outcomes, loaded, found, progress)
    request_rows.end_requests(conn, outcomes, now)
    return outcomes


def _moves(
    record: request_rows.Record, listed: Sequence[step_rows.StepRecord], *, split: bool
) -> bool:
    """Say whether a request may have something to begin, or is over.

    split: users of one of its steps wait, each for what that step needs for them.
    """
    if record.state not in RUNNING:
        return False
    states = {step.name: step.state for step in listed}
    ready = any(
        step.state == StepState.WAITING and all(states[need] in OVER for need in step.needs)
        for step in listed
    )
    return split or ready or set(states.values()).issubset(OVER)


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
        """Begin what may begin, until nothing more does."""
        while moves := {
            name: ready
            for name, step in self.steps.items()
            if (ready := readiness.of(step, self.steps)) is not None
        }:
            for name, ready in moves.items():
                step = self.steps[name]
                if ready.whole and ready.barred:
                    self._end(step, StepState.SKIPPED, _barred(next(iter(ready.barred.values()))))
                    continue
                for user, missing in ready.barred.items():
                    self._stop(step.name, [user], StepState.SKIPPED, _barred(missing))
                if ready.begin or not step.objects:
                    self._begin(step, ready)
                self._close(name)

    def _begin(self, step: step_rows.StepRecord, ready: readiness.Ready) -> None:
        """Make objects of a step due, or say why they cannot be."""
        parts = ready.begin
        users = dict.fromkeys(part.item for part in parts)
        try:
            listed = list(self.steps.values())
            made = binding.bound(self.conn, self.record, step, listed, parts, self.progress)
        except Fault as fault:
            if len(users) > 1:
                # One whose part cannot be bound keeps nobody else out.
                for user in users:
                    own = tuple(part for part in parts if part.item == user)
                    self._begin(self.steps[step.name], readiness.Ready(own, {}, False))
            elif ready.whole:
                self._end(step, StepState.FAILED, self._why(step, fault))
            else:
                self._stop(step.name, users, StepState.FAILED, self._why(step, fault))
            return
        entries = [ledger.Entry(c.key, c.claimant, made.instance, c.want) for c in made.claims]
        ledger.bind(self.conn, entries, self.record.id)
        keys = {entry.key for entry in entries}
        touched = object_rows.touch(self.conn, keys, self.now)
        if step.state == StepState.WAITING:
            step_moves.set_step(self.conn, self.record.id, step.name, StepState.DUE, self.now)
        step_moves.set_objects(self.conn, self.record.id, step.name, users, StepState.DUE)
        step_moves.stamp(self.conn, [self.record.id])
        self._mark(step.name, users, StepState.DUE)
        if touched < len(keys):
            step_moves.finish_untracked(self.conn, self.record.id)
            self.steps[step.name] = replace(step_rows.whole(self.conn, step), state=StepState.DUE)

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

    def _stop(self, name: str, users: Collection[str], state: StepState, why: Error) -> None:
        """End some users' parts of a step."""
        step_moves.set_objects(self.conn, self.record.id, name, users, state, error=why)
        if self.steps[name].state == StepState.WAITING:
            step_moves.set_step(self.conn, self.record.id, name, StepState.DUE, self.now)
        self._mark(name, users, state)

    def _end(self, step: step_rows.StepRecord, state: StepState, why: Error | None) -> None:
        step_moves.set_step(self.conn, self.record.id, step.name, state, self.now, error=why)
        self.steps[step.name] = replace(step, state=state)

    def _close(self, name: str) -> None:
        """End a step all of whose objects are over."""
        step = self.steps[name]
        state = readiness.outcome(step.objects)
        if step.state == StepState.DUE and state is not None:
            self._end(step, state, None)

    def _mark(self, name: str, users: Collection[str], state: StepState) -> None:
        """Keep in mind what was written of some users' parts of a step, which is due by now."""
        step = self.steps[name]
        parts = tuple(
            replace(part, state=state)
            if part.state == StepState.WAITING and part.item in users
            else part
            for part in step.objects
        )
        self.steps[name] = replace(step, state=StepState.DUE, objects=parts)


def _barred(missing: Sequence[str]) -> Error:
    return Error(
        type="Skipped",
        message=f"needs {', '.join(missing)}, which did not get done",
        advice="mend that step; `provisioner retry` does this one too",
    )
