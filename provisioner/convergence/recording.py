"""Recording: what the results of a batch mean for the journal, and writing that.

Promises: each object has a verdict for the steps that wait for it. An object that is as at the last
look gets no new row: only the time of the look. It is written in commits of a moment each, between
which others have their turn. Leaves out: what steps are told (`settling`), and what cannot be
written (`lanes`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from provisioner.contract import ConfigError, Fault, Key, NotReady, Permanent, Transient
from provisioner.convergence.breakers import spread
from provisioner.convergence.calls.hold import Hold
from provisioner.convergence.converge import Outcome
from provisioner.convergence.existing import Crowd, Differs
from provisioner.convergence.next_try import (
    Away,
    Converged,
    GiveUp,
    Patience,
    Retry,
    Tried,
    next_try,
)
from provisioner.journal.dialect import chunks
from provisioner.journal.journal import Connection, Journal
from provisioner.journal.records import keepsakes, object_rows, request_rows, step_rows, waits
from provisioner.journal.records.object_rows import Reading
from provisioner.objects.errors import Error
from provisioner.objects.items import Item
from provisioner.objects.states import Adoption, StepState
from provisioner.steps import settling
from provisioner.steps.binding import Progress
from provisioner.steps.settling import Settled, Verdict
from provisioner.system.ulid import RequestId

PAUSE = 0.01
"""Seconds between two commits: who waits for the journal would else not get it."""


class Withheld(NotReady):
    """A write was withheld because the service is in observe-only mode."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The results of a batch.

    readings: of objects whose rows change; same: the generations of those that are as at the last
    look; unbound: those of objects that were not read, as only steps that are not due yet claim
    them; numbers: that objects have; verdicts: for the steps that wait.
    """

    readings: list[Reading] = field(default_factory=list)
    same: dict[Key, int] = field(default_factory=dict)
    unbound: dict[Key, int] = field(default_factory=dict)
    numbers: dict[Key, Mapping[str, int]] = field(default_factory=dict)
    verdicts: dict[Key, Verdict] = field(default_factory=dict)

    def of(self, keys: Collection[Key]) -> Batch:
        """Return the part of it that is about some objects."""
        mine = set(keys)
        return Batch(
            [reading for reading in self.readings if reading.key in mine],
            {key: self.same[key] for key in self.same.keys() & mine},
            {key: self.unbound[key] for key in self.unbound.keys() & mine},
            {key: self.numbers[key] for key in self.numbers.keys() & mine},
            {key: self.verdicts[key] for key in keys},
        )


@dataclass(frozen=True, slots=True)
class Clerk:
    """Says what results mean now. now: seconds since the epoch."""

    patience: Patience
    observing: bool
    now: float

    def batch(self, outcomes: Sequence[Outcome], unbound: Sequence[Item]) -> Batch:
        """Return what is recorded of a batch."""
        batch = Batch(unbound={item.key: item.generation for item in unbound})
        for item in unbound:
            batch.verdicts[item.key] = Verdict(item.generation, StepState.DONE, (), None, None)
        for outcome in outcomes:
            if outcome.same:
                key, generation = outcome.item.key, outcome.item.generation
                batch.same[key] = generation
                batch.verdicts[key] = Verdict(
                    generation, StepState.DONE, (), None, outcome.state, wanted=True
                )
            else:
                self._add(batch, outcome)
        return batch

    def _add(self, batch: Batch, outcome: Outcome) -> None:
        reading = self._reading(outcome)
        over = reading.converged or _left_as_it_is(outcome)
        if over and outcome.numbers:
            batch.numbers[outcome.item.key] = outcome.numbers
        undone = StepState.FAILED if reading.due is None else StepState.DUE
        batch.verdicts[outcome.item.key] = Verdict(
            outcome.item.generation,
            StepState.DONE if over else undone,
            outcome.changed,
            reading.error,
            outcome.state if over else None,
            outcome.item.adoption == Adoption.NEW,
            not_ready=isinstance(outcome.fault, NotReady)
            and not isinstance(outcome.fault, Withheld),
            wanted=outcome.item.open,
            opened=reading.drop_prior,
        )
        # What has never been ours must not be taken for ours by a later look.
        ours = reading.converged and not outcome.item.untouched
        same = ours == reading.converged
        batch.readings.append(reading if same else replace(reading, converged=ours))

    def _reading(self, outcome: Outcome) -> Reading:
        """Turn an outcome into the reading that the journal keeps."""
        item = outcome.item
        since = item.waiting_since or self.now
        tried = Tried(outcome.fault, item.attempts, self.now - since, item.adoption, self.observing)
        fault: Fault | None = None
        due, waiting_since, attempts = None, None, 0
        match next_try(tried, self.patience):
            case Converged():
                pass
            case Away(fault, attempts):
                due = self.now
            case Retry(fault, attempts, delay):
                due, waiting_since = self.now + spread(delay), since
            case GiveUp(fault, attempts):
                waiting_since = since
            case other:
                assert_never(other)
        return Reading(
            key=item.key,
            generation=item.generation,
            converged=fault is None,
            state=outcome.state,
            due=due,
            attempts=attempts,
            waiting_since=waiting_since,
            error=None if fault is None else Error.of(fault, item.key),
            drop_prior=item.prior is not None and item.open and (fault is None or outcome.reopened),
            adoption=outcome.adoption,
            identity=outcome.identity,
            applied=outcome.applied,
        )


def plain(outcome: Outcome) -> Outcome:
    """Turn a state that the journal cannot store into a fault."""
    try:
        json.dumps(outcome.state)
    except (TypeError, ValueError) as error:
        why = f"{outcome.item.key}: the state that the handler read is not JSON: {error}"
        fault = Permanent(why, advice="this is a bug in the handler; report it")
        return replace(outcome, state=None, fault=fault, same=False)
    return outcome


def unrecorded(outcome: Outcome, error: Exception) -> Outcome:
    """Return the outcome of an object whose result cannot be recorded: it is tried again."""
    why = f"{outcome.item.key}: its result could not be recorded: {error!r}"
    fault = Transient(why, advice="report it with the traceback in the service's log")
    return replace(outcome, state=None, fault=fault, same=False, reopened=False)


def _left_as_it_is(outcome: Outcome) -> bool:
    """Return True if an object differs and stays so, and nothing else was left to do with it."""
    adopted = outcome.item.adoption == Adoption.NEW or outcome.reopened
    return isinstance(outcome.fault, Crowd) or (adopted and isinstance(outcome.fault, Differs))


def early(item: Item, missing: waits.Missing) -> Outcome:
    """Let an object wait for what it rests on."""
    fault = NotReady(f"{item.key}: not made before {missing.key}, which is not ready yet")
    return Outcome(item, None, fault=fault, adoption=item.adoption)


def unserved(due: waits.Due) -> Outcome:
    """Give up an object whose handler was taken out of the configuration."""
    why = f"{due.item.key}: the handler {due.instance!r} is no longer configured"
    return Outcome(due.item, None, fault=ConfigError(why, advice=waits.PUT_BACK))


def written(
    book: Journal,
    hold: Hold,
    progress: Progress,
    batch: Batch,
    resting: Collection[Key],
    now: float,
) -> Iterator[Settled]:
    """Write results; yield what came of each commit. Raises Overtaken.

    resting: objects of which nothing is due, and that are looked at again. An object for which more
    steps wait stays due until all know: after a kill it is looked at again.
    """
    left = [(batch, False)] if batch.verdicts else []
    while left:
        part, rest = left.pop()
        with book.transaction() as conn:
            hold.check(conn)
            rows = step_rows.awaiting(conn, part.verdicts)
            if part is batch:
                part, *others = _portions(conn, batch, rows)
                left = [(other, False) for other in reversed(others)]
                rows = [row for row in rows if row.key in part.verdicts]
            object_rows.record(conn, part.readings, now)
            object_rows.record_same(conn, part.same, now)
            keepsakes.save_numbers(conn, part.numbers)
            object_rows.unschedule(conn, part.unbound)
            object_rows.wake(conn, resting, now)
            settled = settling.settle(conn, part.verdicts, rows, progress, now, rest=rest)
            object_rows.wake(conn, settled.more, now)
            hold.tell(conn, list(settled.made.outcomes))
        yield settled
        resting = ()
        if settled.more:
            left.append((part.of(settled.more), True))
        if left:
            time.sleep(PAUSE)


def deferred(book: Journal, hold: Hold, later: Collection[RequestId]) -> list[RequestId]:
    """Write which requests wait from now on; return those that did not before. Raises Overtaken.

    Each portion has a commit, as very many can wait for one object.
    """
    moved: list[RequestId] = []
    for some in chunks(later):
        with book.transaction() as conn:
            hold.check(conn)
            fresh = request_rows.defer(conn, some)
            hold.tell(conn, fresh)
        moved += fresh
    return moved


def _portions(conn: Connection, batch: Batch, rows: Sequence[Any]) -> list[Batch]:
    """Cut results into those that are written together."""
    if len(batch.verdicts) < 2:
        return [batch]
    parts = settling.portions(conn, batch.verdicts, rows)
    return [batch.of(keys) for keys in parts] if len(parts) > 1 else [batch]
