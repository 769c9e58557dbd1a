"""Advancing: what begins next in a request, and when the request has its outcome.

Promises: an object becomes due when everything its step needs is done, with parameters bound to
what was read back of earlier objects, and again when one of these opens. A step with users
advances for each user separately. Everything is written inside the caller's transaction. Leaves
out: deciding what moves (`moves`, pure), files and lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from types import MappingProxyType

from provisioner.contract import Key, State, Want
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.queries import holdings, replaced
from provisioner.journal.records import ledger, object_rows, request_rows, step_moves, step_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.objects.states import OVER, RUNNING, RequestState, StepState
from provisioner.steps import binding, disputes, moves, remarks
from provisioner.steps.binding import Progress
from provisioner.steps.walk import Pending, Walk
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of advancing. outcomes: of requests that are over; begun: the instances with
    objects that are due now, and True for those that other steps wait for."""

    outcomes: dict[RequestId, RequestState] = field(default_factory=dict)
    begun: dict[str, bool] = field(default_factory=dict)

    def and_(self, more: Advanced) -> Advanced:
        """Return what came of both."""
        begun = {name: needed or self.begun.get(name, False) for name, needed in more.begun.items()}
        return Advanced(self.outcomes | more.outcomes, self.begun | begun)


_CLOSING = ("user.suspend", "allocation.suspend")

LARGE = 1_000
"""A request with fewer objects is read whole, whoever goes on."""

Ended = Mapping[RequestId, Collection[tuple[str, str]]]
"""What has just ended of requests: each object's step and user, '' for one without a user."""

_UNKNOWN: Ended = MappingProxyType({})


def advance(
    conn: Connection,
    ids: Collection[RequestId],
    progress: Progress,
    now: float,
    ended: Ended = _UNKNOWN,
) -> Advanced:
    """Make steps due whose needs are met; write and return the outcomes of requests that are over.

    Held requests do not change. ended: all that has ended since a request was advanced last, if
    that is known.
    """
    if not ids:
        return Advanced()
    outlines = step_rows.outlines_of(conn, ids)
    split = step_rows.with_users_waiting(conn, ids, LARGE)
    # A request can have tens of thousands of objects: most times they need not be read.
    may = [r for r, listed in outlines.items() if moves.may_move(listed, split=r in split)]
    loaded = request_rows.load(conn, may)
    moving = {request: outlines[request] for request in may if loaded[request].state in RUNNING}
    if not moving:
        return Advanced()
    some = _of_some_users(conn, moving, split, ended)
    whole = {request: listed for request, listed in moving.items() if request not in some}
    steps_by_id = {
        **step_rows.filled(conn, {r: whole[r] for r in whole if r not in split}),
        **step_rows.standing(conn, {r: whole[r] for r in whole if r in split}),
        **{request: seen for request, seen in some.items() if seen},
    }
    again: list[RequestId] = []
    outcomes: dict[RequestId, RequestState] = {}
    events: list[audit.Event] = []
    pending = Pending()
    states = _read_ahead(conn, [steps for r, steps in steps_by_id.items() if r not in split])
    for request, listed in steps_by_id.items():
        steps = {step.name: step for step in listed}
        walk = Walk(conn, loaded[request], steps, progress, now, events, states, pending)
        walk.partial = request in some
        walk.go()
        if walk.partial and walk.stopped:
            again.append(request)
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
    made = Advanced(outcomes, pending.begun)
    # Whether a step is over with what a lane never gets, all of its objects tell.
    return made.and_(advance(conn, again, progress, now)) if again else made


def _of_some_users(
    conn: Connection, outlines: step_rows.Outlines, split: Mapping[RequestId, int], ended: Ended
) -> dict[RequestId, list[step_rows.StepRecord]]:
    """Read, of very large requests, the objects of those users alone of whom some have just ended.

    A user begins a step when what it needs is done for that user. A request is left out if a step
    of it begins or is over with them, which counts for all users; the steps are none if no user's
    have ended. split: requests in which users wait, each with how many objects it has, or `LARGE`.
    """
    found: dict[RequestId, list[step_rows.StepRecord]] = {}
    for request, listed in outlines.items():
        if split.get(request, 0) < LARGE or request not in ended:
            continue
        over = {step.name for step in listed if step.state in OVER}
        if any(step in over for step, _ in ended[request]):
            continue
        users = {user for _, user in ended[request] if user}
        seen = step_rows.standing_for(conn, request, listed, users) if users else []
        steps = {step.name: step for step in seen}
        if not any(s.state == StepState.WAITING and moves.of(s, steps) for s in seen):
            found[request] = seen
    return found


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
    reading = _reading(conn, opened)
    loaded = request_rows.load(conn, reading)
    wanted: dict[tuple[Key, str], tuple[RequestId, Want]] = {}
    states = partial(object_rows.states, conn)
    for request, listed in step_rows.steps_of(conn, loaded.keys()).items():
        for name, users in reading[request].items():
            wants = binding.wants_of(states, loaded[request], listed, name, progress, users)
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
    waiting = {row.request for row in step_rows.awaiting(conn, opened)}
    step_moves.look_again(conn, waiting | changed.keys(), keys)
    return keys


def _reading(
    conn: Connection, opened: Collection[Key]
) -> dict[RequestId, dict[str, binding.Users]]:
    """Return the steps, by request and name, that take values from steps with some objects.

    Only of requests that claim them. With the users for whom that is; None for all.
    """
    owners = {held.request for held in ledger.held_on(conn, opened)}
    giving: dict[tuple[RequestId, str], set[str]] = {}
    for place in step_rows.places(conn, opened):
        if place.request in owners:
            giving.setdefault((place.request, place.step), set()).add(place.item)
    reading: dict[RequestId, dict[str, binding.Users]] = {}
    for request, listed in step_rows.outlines_of(conn, {request for request, _ in giving}).items():
        for step in listed:
            some = [giving[request, need] for need in step.needs if (request, need) in giving]
            if step.routed and some:
                users = set[str]().union(*some)
                reading.setdefault(request, {})[step.name] = None if "" in users else users
    return reading


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
