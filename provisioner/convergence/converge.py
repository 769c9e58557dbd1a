"""Convergence: observe, plan, apply, observe again, until a second plan is empty.

Promises: everything written to a backend goes this way. The engine decides by what it reads back,
never by what a call returns. A question or a group of changes that fails is halved until the bad
object is isolated. A backend is away when a handler raises that it is. A fault about one object,
while the backend answers for others, stays with that object and blocks nobody else. Leaves out:
when and what to converge (`lanes`), and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from provisioner.contract import (
    OWNING,
    Change,
    Fault,
    Gone,
    Handler,
    Key,
    Permanent,
    Scalar,
    State,
    Transient,
    Unavailable,
    Unknown,
    Want,
)
from provisioner.contract.abilities import Foresees, Keeps, Numbered, Remarks, Restores, able
from provisioner.convergence.calls.questions import own, sought, states, unexpected
from provisioner.convergence.calls.reads import MOMENT, reads
from provisioner.convergence.calls.writing import allowed, apply_group, order
from provisioner.objects import settings
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former, Item
from provisioner.objects.merging import summary
from provisioner.objects.states import Adoption
from provisioner.plain.values import value

MOST_CHANGES = 1_000
"""The most changes of one object in one plan: a result shows them all."""

ROUNDS = 3
"""How often an object is planned again after its changes: a new object can show what it lacks."""


@value(frozen=True, slots=True)
class Outcome:
    """The result for an item.

    fault: None if it has converged; changed: what was written, in words; adoption: how the object
    is now taken over; identity: what may not change from now on, None keeps the old one, an empty
    one means that nobody claims it and its name is free; applied: what claims have set, None keeps
    the old value; notes: what several claims came to; numbers: those that it has and that its
    identity does not say yet; reopened: it opened as it was before a suspension, though it differs;
    same: it is as at the last look, which left nothing to do, and so it was not planned again.
    """

    item: Item
    state: State | None
    changed: tuple[str, ...] = ()
    fault: Fault | None = None
    adoption: Adoption | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    reopened: bool = False
    same: bool = False


Save = Callable[[Former], None]
"""Makes durable what objects were before."""

Same = Callable[[Item, State], bool]
"""Returns True if the last look at an object saw the same, and left nothing to do."""


def new(item: Item, state: State) -> bool:
    """Return False: nothing is known of earlier looks."""
    return False


@dataclass(slots=True)
class _Task:
    """One item and its progress."""

    item: Item
    want: Want | None = None
    state: State | None = None
    changes: Sequence[Change] = ()
    written: list[str] = field(default_factory=list)
    blame: Fault | None = None
    fault: Fault | None = None
    over: bool = False
    same: bool = False


def converge(
    handler: Handler,
    items: Iterable[Item],
    save: Save,
    moment: float = MOMENT,
    same: Same = new,
    most: int | None = None,
) -> list[Outcome]:
    """Bring items to what their claims want, as far as the backend allows.

    Errors about one object never raise. If the backend is away, Unavailable is the fault of every
    item that is not over. moment: the seconds for which a read is repeated before that; same: says
    which items need no plan; most: how many are written, default all. The others have no outcome.
    """
    tasks = {item.key: _Task(item) for item in items}
    try:
        _observe(handler, tasks.values(), moment)
        _recognize(tasks.values(), same)
        remembered = _remember(handler, tasks.values())
        for number in range(ROUNDS):
            changing = _planned(handler, tasks.values())
            if number == 0:
                for task in changing[most:] if most is not None else ():
                    del tasks[task.item.key]
                changing = _foreseen(handler, changing[:most], moment)
            if not changing:
                break
            # Prior states are saved only for objects about to be closed: an object that stays may
            # still be replaced by another one, which must not get the old state.
            keys = [task.item.key for task in changing if task.item.key in remembered]
            to_be_set = _to_be_set(handler, changing)
            changing = [task for task in changing if not task.over]
            former = Former({key: remembered.pop(key) for key in keys}, to_be_set)
            if former.priors or former.applied:
                save(former)
            _apply(handler, changing)
            _observe(handler, changing, moment)
        else:
            for task in _planned(handler, tasks.values()):
                texts = "; ".join(change.text for change in task.changes)
                _end(task, Transient(f"{task.item.key}: written, but not read back: {texts}"))
    except (Unavailable, Unknown) as fault:
        _spare(tasks.values(), fault)
    return [_outcome(handler, task) for task in tasks.values()]


def dry_run(
    handler: Handler, items: Iterable[Item], moment: float = MOMENT
) -> list[tuple[Item, Sequence[Change], Outcome]]:
    """Do what `converge` does, up to the first write."""
    tasks = {item.key: _Task(item) for item in items}
    try:
        _observe(handler, tasks.values(), moment)
        _remember(handler, tasks.values())
        _foreseen(handler, _planned(handler, tasks.values()), moment)
    except (Unavailable, Unknown) as fault:
        _spare(tasks.values(), fault)
    return [(task.item, task.changes, _outcome(handler, task)) for task in tasks.values()]


def _outcome(handler: Handler, task: _Task) -> Outcome:
    if task.same:
        return Outcome(task.item, task.state, adoption=task.item.adoption, same=True)
    identity = applied = None
    notes: Sequence[str] = ()
    numbers: Mapping[str, int] = {}
    try:
        identity, applied = _identity(handler, task), _applied(handler, task)
        notes, numbers = _remarks(handler, task), _numbers(handler, task)
    except Exception:
        _end(task, _unexpected("identity, numbers, sets, holds or remarks", handler))
    return Outcome(
        task.item,
        task.state,
        tuple(task.written),
        task.fault,
        identity=identity,
        applied=applied,
        notes=(*summary(task.want or {}), *notes),
        numbers=numbers,
    )


def _remarks(handler: Handler, task: _Task) -> Sequence[str]:
    if not able(handler, Remarks) or task.want is None or task.state is None:
        return ()
    return handler.remarks(task.item.key, task.want, task.state)


def _to_be_set(handler: Handler, tasks: Iterable[_Task]) -> dict[Key, Applied]:
    """Return the settings about to be written that are not recorded yet.

    An object without settings gets an empty record: whose request is cancelled before anything was
    written has taken over nothing.
    """
    unrecorded: dict[Key, Applied] = {}
    for task in tasks:
        if not task.item.open or task.item.reopens:
            continue
        try:
            now = _settings(handler, task)
        except Exception:
            _end(task, _unexpected("sets or holds", handler))
            continue
        if now is not None and (now != task.item.applied or not task.item.begun):
            unrecorded[task.item.key] = now
            task.item = replace(task.item, applied=now, begun=True)
    return unrecorded


def _settings(handler: Handler, task: _Task) -> Applied | None:
    if not able(handler, Restores):
        return task.item.applied if task.item.begun else {}
    return settings.noted_now(handler, task.item, task.want or {}, task.state or {})


def _applied(handler: Handler, task: _Task) -> Applied | None:
    """Return what claims have set on an object that is as wanted; None keeps what was recorded."""
    if task.fault is not None or not able(handler, Restores):
        return None
    as_wanted = not any(change.verb not in OWNING for change in task.changes)
    want, state = task.want or {}, task.state or {}
    return settings.applied(handler, task.item, want, state, as_wanted=as_wanted)


def _identity(handler: Handler, task: _Task) -> Mapping[str, Scalar] | None:
    """Return the identity of an object that is as wanted; None if it is unknown."""
    if task.fault is not None or not able(handler, Keeps):
        return None
    if not task.item.claims:
        return None if task.item.awaited else {}
    there = task.state is not None and task.state.get("present")
    if not there or any(change.verb not in OWNING for change in task.changes):
        return None
    identity = handler.identity(task.want or {}, task.state or {})
    return {name: value for name, value in identity.items() if value is not None} or None


def _numbers(handler: Handler, task: _Task) -> Mapping[str, int]:
    """Return the numbers of an object that somebody claims, unless its identity says them."""
    there = task.state is not None and task.state.get("present")
    if not (able(handler, Numbered) and task.item.claims and there):
        return {}
    kept = task.item.identity or {}
    numbers = handler.numbers(task.item.key, task.state or {})
    return {kind: number for kind, number in numbers.items() if kept.get(kind) != number}


def _end(task: _Task, fault: Fault | None) -> None:
    """End an item with a fault of its own, or with None."""
    task.fault = own(fault)
    task.over = True


def _spare(tasks: Iterable[_Task], fault: Fault) -> None:
    """End the items that are not over with a fault of the backend, which is not their own."""
    for task in tasks:
        if not task.over:
            task.fault, task.over = fault, True


def _observe(handler: Handler, tasks: Iterable[_Task], moment: float) -> None:
    pending = {task.item.key: task for task in tasks if not task.over}
    if not pending:
        return
    seen = states(handler, list(pending), moment)
    seen |= sought(handler, _gone(pending.values(), seen), moment)
    for key, task in pending.items():
        state = seen.get(key)
        if state is None:
            _end(task, Permanent(f"{key}: the handler returned no state for it"))
        elif isinstance(state, Fault):
            _end(task, state)
        else:
            task.state = state


def _recognize(tasks: Iterable[_Task], same: Same) -> None:
    """End the items that are as at the last look."""
    for task in tasks:
        if not task.over and task.state is not None and same(task.item, task.state):
            task.same = task.over = True


def _gone(tasks: Iterable[_Task], seen: Mapping[Key, State | Fault]) -> dict[Key, Gone]:
    """Return the objects of which the ledger knows what they were, and that may be elsewhere."""
    gone: dict[Key, Gone] = {}
    for task in tasks:
        key, identity, state = task.item.key, task.item.identity, seen.get(task.item.key)
        if not identity or state is None or isinstance(state, Fault):
            continue
        if not (task.item.open and state.get("present")):
            gone[key] = Gone(state, identity)
    return gone


def _remember(handler: Handler, tasks: Iterable[_Task]) -> dict[Key, State]:
    """Ask the handler what to save of objects that no claim keeps open, unless it is saved."""
    priors: dict[Key, State] = {}
    for task in tasks:
        if task.over or task.state is None or task.item.prior is not None or task.item.open:
            continue
        if task.item.untouched:
            continue  # nothing of it is closed
        try:
            prior = handler.prior(task.item.key, task.state)
        except Fault as fault:
            _end(task, fault)
            continue
        except Exception:
            _end(task, _unexpected("prior", handler))
            continue
        if prior is not None:
            priors[task.item.key] = prior
            task.item = replace(task.item, prior=prior)
    return priors


def _plan(handler: Handler, task: _Task) -> None:
    if task.over or task.state is None:
        return
    item = task.item
    try:
        if task.want is None:
            task.want = settings.wanted(handler, item, task.state)
        task.changes = allowed(item, handler.plan(item.key, task.want, task.state))
        if len(task.changes) > MOST_CHANGES:
            raise Permanent(f"{item.key}: a plan of {len(task.changes):,} changes is a mistake")
    except Fault as fault:
        _end(task, fault)
    except Exception:
        _end(task, _unexpected("plan", handler))
    else:
        if not task.changes:
            _end(task, None)


def _planned(handler: Handler, tasks: Iterable[_Task]) -> list[_Task]:
    """Plan the items that are not over; return those with changes and without a failed write."""
    changing = []
    for task in tasks:
        _plan(handler, task)
        if task.over:
            continue
        if task.blame is not None:
            _end(task, task.blame)
        else:
            changing.append(task)
    return changing


def _foreseen(handler: Handler, tasks: list[_Task], moment: float) -> list[_Task]:
    """End the items that the handler already knows to be refused; return the rest."""
    if not tasks or not able(handler, Foresees):
        return tasks
    changes = [change for task in tasks for change in task.changes]
    try:
        refused = reads(lambda: handler.foresee(changes), moment)
    except (Unavailable, Unknown):
        raise
    except Fault as fault:
        refused = {task.item.key: fault for task in tasks}
    except Exception:
        refused = {task.item.key: _unexpected("foresee", handler) for task in tasks}
    for task in tasks:
        if task.item.key in refused:
            _end(task, refused[task.item.key])
    return [task for task in tasks if not task.over]


def _apply(handler: Handler, tasks: Sequence[_Task]) -> None:
    """Apply all changes in order; an object whose change failed gets no later one.

    A write that raised may still have happened. So the item only keeps the fault for later, and
    what is read back decides.
    """
    owner = {task.item.key: task for task in tasks}
    changes = sorted((change for task in tasks for change in task.changes), key=order)
    for _, group in groupby(changes, key=order):
        live = [change for change in group if owner[change.key].blame is None]
        for part, fault in apply_group(handler, live):
            for change in part:
                if fault is None:
                    owner[change.key].written.append(change.text)
                else:
                    owner[change.key].blame = fault


def _unexpected(what: str, handler: object) -> Fault:
    return unexpected(f"{type(handler).__name__}.{what}")
