"""Convergence: observe, plan, apply, observe again, until a second plan is empty.

Promises: the one path by which anything is written to a backend. What was read back decides, not
what a call returned; a question or a group of changes that fails is split in halves until the bad
object is isolated. A backend is away when a handler raises that it is; what it says of one object,
while it answers for others, is that object's own, and keeps nobody from the backend. Leaves out:
when and what to converge (`lanes`), and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import cast

from provisioner.contract import (
    OWNING,
    Change,
    Fault,
    Handler,
    Json,
    Key,
    Permanent,
    Scalar,
    State,
    Transient,
    Unavailable,
    Unknown,
    Want,
)
from provisioner.contract.abilities import Foresees, Keeps, Remarks, Restores
from provisioner.convergence.questions import own, states, unexpected
from provisioner.convergence.reads import reads
from provisioner.objects.applied import Applied, left, noted, settled, unclaimed
from provisioner.objects.items import Former, Item
from provisioner.objects.merging import told
from provisioner.objects.states import Adoption

ROUNDS = 3
"""How often an object is planned again after its changes: a new object may show what it lacks."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item.

    fault None: it has converged; changed: what was written, in words; adoption: how the object is
    taken over, by now; identity: what may not change from now on; None: what it was before,
    empty: nobody claims it, and whoever has its name next is another; applied: what claims have
    set; None: what it was before; notes: what several claims come to.
    """

    item: Item
    state: State | None
    changed: tuple[str, ...] = ()
    fault: Fault | None = None
    adoption: Adoption | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None
    notes: tuple[str, ...] = ()


Save = Callable[[Former], None]
"""Makes durable what objects were."""


@dataclass(slots=True)
class _Work:
    """One item on its way."""

    item: Item
    want: Want | None = None
    state: State | None = None
    changes: Sequence[Change] = ()
    written: list[str] = field(default_factory=list)
    blame: Fault | None = None
    fault: Fault | None = None
    over: bool = False


def converge(handler: Handler, items: Iterable[Item], save: Save) -> list[Outcome]:
    """Bring items to what their claims want, as far as the backend lets.

    Never raises for what one object does wrong; an Unavailable backend leaves Unavailable as the
    fault of every item that is not over.
    """
    work = {item.key: _Work(item) for item in items}
    try:
        _observe(handler, work.values())
        remembered = _remember(handler, work.values())
        for number in range(ROUNDS):
            changing = _planned(handler, work.values())
            if number == 0:
                changing = _foreseen(handler, changing)
            if not changing:
                break
            # Only what is going to be closed is saved: an object that is left as it is may yet
            # become another one, and what it was now would be given to that.
            keys = [one.item.key for one in changing if one.item.key in remembered]
            to_be_set = _to_be_set(handler, changing)
            changing = [one for one in changing if not one.over]
            former = Former({key: remembered.pop(key) for key in keys}, to_be_set)
            if former.priors or former.applied:
                save(former)
            _apply(handler, changing)
            _observe(handler, changing)
        else:
            for one in _planned(handler, work.values()):
                texts = "; ".join(change.text for change in one.changes)
                _end(one, Transient(f"{one.item.key}: written, but not read back: {texts}"))
    except (Unavailable, Unknown) as fault:
        _spare(work.values(), fault)
    return [_outcome(handler, one) for one in work.values()]


def dry_run(
    handler: Handler, items: Iterable[Item]
) -> list[tuple[Item, Sequence[Change], Outcome]]:
    """Take the path of `converge` up to the first write."""
    work = {item.key: _Work(item) for item in items}
    try:
        _observe(handler, work.values())
        _remember(handler, work.values())
        _foreseen(handler, _planned(handler, work.values()))
    except (Unavailable, Unknown) as fault:
        _spare(work.values(), fault)
    return [(one.item, one.changes, _outcome(handler, one)) for one in work.values()]


def _outcome(handler: Handler, one: _Work) -> Outcome:
    identity = applied = None
    said: Sequence[str] = ()
    try:
        identity, applied = _identity(handler, one), _applied(handler, one)
        said = _remarks(handler, one)
    except Exception:
        _end(one, _unexpected("identity, sets, holds or remarks", handler))
    return Outcome(
        one.item,
        one.state,
        tuple(one.written),
        one.fault,
        identity=identity,
        applied=applied,
        notes=(*told(one.want or {}), *said),
    )


def _remarks(handler: Handler, one: _Work) -> Sequence[str]:
    if not isinstance(handler, Remarks) or one.want is None or one.state is None:
        return ()
    return handler.remarks(one.item.key, one.want, one.state)


def _to_be_set(handler: Handler, work: Iterable[_Work]) -> dict[Key, Applied]:
    """Note what is going to be set of objects, and was not noted yet."""
    if not isinstance(handler, Restores):
        return {}
    found: dict[Key, Applied] = {}
    for one in work:
        if not one.item.open:
            continue
        try:
            now = _noted(handler, one)
        except Exception:
            _end(one, _unexpected("sets or holds", handler))
            continue
        if now != one.item.applied:
            found[one.item.key] = now
            one.item = replace(one.item, applied=now)
    return found


def _noted(handler: Restores, one: _Work) -> Applied:
    """Say what is set of an open object, by what is wanted and how it is."""
    item, want, state = one.item, one.want or {}, one.state or {}
    sets, taken = handler.sets(item.key, want), item.adoption is not None
    if not state.get("present"):
        # What is made anew has nothing of what was there.
        return noted({}, sets, {}, taken=taken)
    return noted(item.applied, sets, _now(handler, one), taken=taken)


def _now(handler: Restores, one: _Work) -> Mapping[str, Json]:
    """Return the settings of an object that is there, without those that close it."""
    item, state = one.item, one.state or {}
    now = handler.holds(item.key, state)
    if item.prior is None:
        return now
    # What closed it stands where these were, and goes when it opens.
    return {**now, **handler.holds(item.key, {**state, **item.prior})}


def _applied(handler: Handler, one: _Work) -> Applied | None:
    """Say what claims have set of an object that is as wanted; None: what was noted before."""
    if one.fault is not None or not isinstance(handler, Restores):
        return None
    there = one.state is not None and one.state.get("present")
    if not one.item.claims:
        return unclaimed(one.item.applied or {}, _now(handler, one)) if there else {}
    if not (there and one.item.open) or any(c.verb not in OWNING for c in one.changes):
        return None
    want = one.want or {}
    return settled(_noted(handler, one), handler.sets(one.item.key, want), _disputed(want))


def _disputed(want: Want) -> Collection[str]:
    return cast(Collection[str], want.get("disputed") or ())


def _identity(handler: Handler, one: _Work) -> Mapping[str, Scalar] | None:
    """Say what an object that is as wanted may not cease to be; None: nothing is known of it."""
    if one.fault is not None or not isinstance(handler, Keeps):
        return None
    if not one.item.claims:
        return {}
    there = one.state is not None and one.state.get("present")
    if not there or any(change.verb not in OWNING for change in one.changes):
        return None
    found = handler.identity(one.want or {}, one.state or {})
    return {name: value for name, value in found.items() if value is not None} or None


def _end(one: _Work, fault: Fault | None) -> None:
    """End an item with a fault of its own; None: with none."""
    one.fault = own(fault)
    one.over = True


def _spare(work: Iterable[_Work], fault: Fault) -> None:
    """End what is not over with what concerns the backend, and not one of them."""
    for one in work:
        if not one.over:
            one.fault, one.over = fault, True


def _observe(handler: Handler, work: Iterable[_Work]) -> None:
    pending = {one.item.key: one for one in work if not one.over}
    if not pending:
        return
    seen = states(handler, list(pending))
    for key, one in pending.items():
        found = seen.get(key)
        if found is None:
            _end(one, Permanent(f"{key}: the handler did not say what it observed"))
        elif isinstance(found, Fault):
            _end(one, found)
        else:
            one.state = found


def _remember(handler: Handler, work: Iterable[_Work]) -> dict[Key, State]:
    """Ask what has to be given back of objects that no claim keeps open, where it is not known."""
    found: dict[Key, State] = {}
    for one in work:
        if one.over or one.state is None or one.item.prior is not None or one.item.open:
            continue
        try:
            prior = handler.prior(one.item.key, one.state)
        except Fault as fault:
            _end(one, fault)
            continue
        except Exception:
            _end(one, _unexpected("prior", handler))
            continue
        if prior is not None:
            found[one.item.key] = prior
            one.item = replace(one.item, prior=prior)
    return found


def _wanted(handler: Handler, item: Item) -> Want:
    """Merge an item's claims; a handler is told what an object was, and what was set of it."""
    want = handler.merge(item.key, item.claims, item.prior)
    if item.open and item.applied and isinstance(handler, Restores):
        gone = left(item.applied, handler.sets(item.key, want), _disputed(want))
        want = {**want, "left": gone} if gone else want
    if item.identity is not None and isinstance(handler, Keeps):
        want = {**want, "was": item.identity}
    return want


def _plan(handler: Handler, one: _Work) -> None:
    if one.over or one.state is None:
        return
    item = one.item
    try:
        if one.want is None:
            one.want = _wanted(handler, item)
        one.changes = handler.plan(item.key, one.want, one.state)
    except Fault as fault:
        _end(one, fault)
    except Exception:
        _end(one, _unexpected("plan", handler))
    else:
        if not one.changes:
            _end(one, None)


def _order(change: Change) -> tuple[int, str]:
    return change.phase, change.group


def _planned(handler: Handler, work: Iterable[_Work]) -> list[_Work]:
    """Plan what is not over; return what has changes, but for those whose write failed for good."""
    changing = []
    for one in work:
        _plan(handler, one)
        if one.over:
            continue
        if one.blame is not None:
            _end(one, one.blame)
        else:
            changing.append(one)
    return changing


def _foreseen(handler: Handler, work: list[_Work]) -> list[_Work]:
    """End what the handler knows beforehand to be refused; return the rest."""
    if not work or not isinstance(handler, Foresees):
        return work
    changes = [change for one in work for change in one.changes]
    try:
        refused = reads(lambda: handler.foresee(changes))
    except (Unavailable, Unknown):
        raise
    except Fault as fault:
        refused = {one.item.key: fault for one in work}
    except Exception:
        refused = {one.item.key: _unexpected("foresee", handler) for one in work}
    for one in work:
        if one.item.key in refused:
            _end(one, refused[one.item.key])
    return [one for one in work if not one.over]


def _apply(handler: Handler, work: Sequence[_Work]) -> None:
    """Apply all changes in order; a key whose change failed gets no later one.

    A write that raised may still have happened: the fault is only blamed on the item, and what is
    read back decides.
    """
    owner = {one.item.key: one for one in work}
    changes = sorted((change for one in work for change in one.changes), key=_order)
    for _, group in groupby(changes, key=_order):
        live = [change for change in group if owner[change.key].blame is None]
        for part, fault in _apply_group(handler, live):
            for change in part:
                if fault is None:
                    owner[change.key].written.append(change.text)
                else:
                    owner[change.key].blame = fault


def _apply_group(
    handler: Handler, changes: Sequence[Change]
) -> Iterable[tuple[Sequence[Change], Fault | None]]:
    """Apply changes in as few calls as succeed; a fault comes with the one change it belongs to."""
    if not changes:
        return
    try:
        handler.apply(changes)
    except (Unavailable, Unknown):
        raise
    except Exception as error:
        if len({change.key for change in changes}) == 1:
            fault = error if isinstance(error, Fault) else _unexpected("apply", handler)
            yield changes, fault
            return
        middle = len(changes) // 2
        yield from _apply_group(handler, changes[:middle])
        yield from _apply_group(handler, changes[middle:])
    else:
        yield changes, None


def _unexpected(what: str, handler: Handler) -> Fault:
    return unexpected(f"{type(handler).__name__}.{what}")
