"""Advancing: what begins next in a request, and when the request has its outcome.

Promises: an object becomes due when everything its step needs is done, with parameters bound to
what was read back of earlier objects, and again when one of these opens. A step with users
advances for each user separately. Everything is written inside the caller's transaction. Leaves
out: deciding what moves (`moves`, pure), files and lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

from provisioner.contract import Fault, Key, State, Want
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.queries import holdings, replaced
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.objects.errors import Error
from provisioner.objects.states import RUNNING, RequestState, StepState
from provisioner.steps import binding, disputes, moves, remarks
from provisioner.steps.binding import Progress
from provisioner.steps.pending import Pending
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of advancing. outcomes: of requests that are over; begun: the instances with
    objects that are due now, and True for those that other steps wait for."""

    outcomes: dict[RequestId, RequestState] = field(default_factory=dict)
    begun: dict[str, bool] = field(default_factory=dict)


_CLOSING = ("user.suspend", "allocation.suspend")


def advance(
    conn: Connection, ids: Collection[RequestId], progress: Progress, now: float
) -> Advanced:
    """Make steps due whose needs are met; write and return the outcomes of requests that are over.

    Held requests do not change.
    """
    if not ids:
        return Advanced()
    loaded = request_rows.load(conn, ids)
    outlines = step_rows.outlines_of(conn, ids)
    split = step_rows.with_users_waiting(conn, ids)
    # A split request can have tens of thousands of objects: most times they need not be read.
    moving = {
        request: listed
        for request, listed in outlines.items()
        if loaded[request].state in RUNNING and moves.may_move(listed, split=request in split)
    }
    steps_by_id = {
        **step_rows.filled(conn, {r: moving[r] for r in moving if r not in split}),
        **step_rows.standing(conn, {r: moving[r] for r in moving if r in split}),
    }
    outcomes: dict[RequestId, RequestState] = {}
    events: list[audit.Event] = []
    pending = Pending()
    states = _read_ahead(conn, [steps for r, steps in steps_by_id.items() if r not in split])
    for request, listed in steps_by_id.items():
        steps = {step.name: step for step in listed}
        walk = _Walk(conn, loaded[request], steps, progress, now, events, states, pending)
        walk.go()
        outcome = moves.outcome(walk.steps.values())
        if outcome is not None:
            outcomes[request] = outcome
        steps_by_id[request] = list(walk.steps.values())
    pending.write(conn, now)
    audit.append(conn, events, now)
    done = [
        request
        for request, outcome in outcomes.items()
        if outcome == RequestState.DONE and request in split
    ]
    steps_by_id.update(step_rows.steps_of(conn, done))
    _remark(conn, outcomes, loaded, steps_by_id, progress)
    request_rows.end_requests(conn, outcomes, now)
    done = [request for request, outcome in outcomes.items() if outcome == RequestState.DONE]
    replaced.put_right(conn, done, now)
    return Advanced(outcomes, pending.begun)


def _read_ahead(conn: Connection, some: Iterable[Sequence[step_rows.StepRecord]]) -> binding.States:
    """Read the states of the objects of requests in which a step waits, which may now begin.

    Return what gives them, and reads those of others.
    """
    waiting = [steps for steps in some if any(step.state == StepState.WAITING for step in steps)]
    keys = {part.key for steps in waiting for step in steps for part in step.objects}
    read = object_rows.states(conn, keys)

    def states(wanted: Collection[Key]) -> Mapping[Key, State]:
        return read if keys.issuperset(wanted) else object_rows.states(conn, wanted)

    return states


def bind_again(
    conn: Connection, opened: Collection[Key], progress: Progress, now: float
) -> set[Key]:
    """Bind what was bound to values that objects had while a suspension closed them.

    A closed object keeps its values, whatever is wanted. opened: objects that were just read back
    open. Who waits for one of them also waits for what now changes. Return what that makes due.
    """
    if not opened:
        return set()
    owners = {held.request for held in ledger.held_on(conn, opened)}
    loaded = request_rows.load(conn, owners)
    wanted: dict[tuple[Key, str], tuple[RequestId, Want]] = {}
    states = partial(object_rows.states, conn)
    for request, listed in step_rows.steps_of(conn, loaded.keys()).items():
        for step in _reading(listed, opened):
            wants = binding.wants_of(states, loaded[request], listed, step.name, progress)
            wanted |= {pair: (request, want) for pair, want in wants.items() if want is not None}
    changed: dict[RequestId, list[ledger.Entry]] = {}
    for held in ledger.held_on(conn, {key for key, _ in wanted}):
        now_wanted = wanted.get((held.key, held.claimant))
        if now_wanted is None or held.want is None or now_wanted == (held.request, held.want):
            continue
        if now_wanted[0] == held.request:
            entry = ledger.Entry(held.key, held.claimant, "", now_wanted[1])
            changed.setdefault(held.request, []).append(entry)
    ledger.bind(conn, changed)
    for request, entries in changed.items():
        turn = Turn(now, loaded[request].writer)
        object_rows.touch(conn, {entry.key for entry in entries}, turn)
    keys = {entry.key for entries in changed.values() for entry in entries}
    waiting = {row.request for row in step_moves.awaiting(conn, opened)}
    step_moves.look_again(conn, waiting | changed.keys(), keys)
    return keys


def _reading(
    listed: Sequence[step_rows.StepRecord], opened: Collection[Key]
) -> list[step_rows.StepRecord]:
    """Return the steps of a request that take values from steps with some of the objects."""
    giving = {step.name for step in listed if any(part.key in opened for part in step.objects)}
    return [step for step in listed if step.routed and not giving.isdisjoint(step.needs)]


def _remark(
    conn: Connection,
    outcomes: dict[RequestId, RequestState],
    loaded: Mapping[RequestId, request_rows.Record],
    steps_by_id: Mapping[RequestId, Sequence[step_rows.StepRecord]],
    progress: Progress,
) -> None:
    """Write remarks on requests that are done; those that a newer one replaced are superseded."""

    states = partial(object_rows.states, conn)

    @cache  # for each object that a newer request has taken over, the whole step would be bound
    def wants_of(request: RequestId, name: str) -> Mapping[tuple[Key, str], Want | None]:
        return binding.wants_of(states, loaded[request], steps_by_id[request], name, progress)

    done = {
        request: steps_by_id[request]
        for request, outcome in outcomes.items()
        if outcome == RequestState.DONE
    }
    held = holdings.claims_now(conn, _routed_keys(done.values()))
    by_request = remarks.remarks(conn, done, held, wants_of)
    claimed = {
        request: {
            part.key: step.instance for step in listed if step.routed for part in step.objects
        }
        for request, listed in done.items()
    }
    # Without routed steps, the request is a verb, and its own notes stay.
    claimed = {request: keys for request, keys in claimed.items() if keys}
    of_handlers = remarks.of_handlers(conn, claimed, progress)
    shared = {
        request: {key: one for key, one in keys.items() if len(held.get(key, ())) > 1}
        for request, keys in claimed.items()
    }
    for request, texts in disputes.of(conn, shared, progress).items():
        remark = by_request.get(request, remarks.Remark())
        if remark.newer:
            outcomes[request] = RequestState.SUPERSEDED
        before = loaded[request].problems
        after = disputes.renewed(before, texts)
        notes = (*remark.notes, *of_handlers.get(request, ()))
        after += [{"line": None, "key": "", "message": text} for text in notes]
        if after != list(before or ()):
            request_rows.set_problems(conn, request, after)
    _remark_on_overtaken(conn, done, outcomes, loaded)
    stand = {r: listed for r, listed in done.items() if outcomes[r] == RequestState.DONE}
    _remark_on_closed(conn, stand, loaded, progress)


def _routed_keys(listed: Iterable[Sequence[step_rows.StepRecord]]) -> set[Key]:
    return {part.key for steps in listed for step in steps if step.routed for part in step.objects}


def _remark_on_overtaken(
    conn: Connection,
    done: Mapping[RequestId, Sequence[step_rows.StepRecord]],
    outcomes: dict[RequestId, RequestState],
    loaded: Mapping[RequestId, request_rows.Record],
) -> None:
    """Supersede suspensions, resumes and removals of which a newer request has left nothing."""
    for request, listed in done.items():
        by = remarks.overtaken(conn, loaded[request], listed)
        if by is None:
            continue
        if by.whole:
            outcomes[request] = RequestState.SUPERSEDED
        name = ""
        if by.newer:
            own = replaced.writer_of(conn, by.newer) == loaded[request].writer
            name = by.newer if own else replaced.OTHERS
        note = {"line": None, "key": "", "message": by.told(name)}
        request_rows.set_problems(conn, request, [*(loaded[request].problems or ()), note])


def _remark_on_closed(
    conn: Connection,
    done: Mapping[RequestId, Sequence[step_rows.StepRecord]],
    loaded: Mapping[RequestId, request_rows.Record],
    progress: Progress,
) -> None:
    """Add to done suspensions what handlers say of the closed objects, such as jobs that run on."""
    closing = {
        request: {part.key: step.instance for step in listed for part in step.objects}
        for request, listed in done.items()
        if loaded[request].action in _CLOSING
    }
    for request, texts in remarks.of_handlers(conn, closing, progress).items():
        if texts:
            more = [{"line": None, "key": "", "message": text} for text in texts]
            request_rows.set_problems(conn, request, [*(loaded[request].problems or ()), *more])


@dataclass(slots=True)
class _Walk:
    """One request, whose steps begin when they may.

    steps: by name, in the route's order; states: of objects; pending, events: get what is to be
    written, and what happens.
    """

    conn: Connection
    record: request_rows.Record
    steps: dict[str, step_rows.StepRecord]
    progress: Progress
    now: float
    events: list[audit.Event]
    states: binding.States
    pending: Pending

    def go(self) -> None:
        """Make moves until nothing moves any more."""
        while moving := {
            name: some for name, step in self.steps.items() if (some := moves.of(step, self.steps))
        }:
            for name, some in moving.items():
                for move in some:
                    self._make(move)
                ends = moves.ending(self.steps[name])
                if ends is not None:
                    self._make(ends)

    def _make(self, move: moves.Move) -> None:
        """Write a move, and update its step in memory."""
        match move:
            case moves.Begin():
                self._begin(move)
                return
            case moves.Stop():
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
