"""Lanes: the queue in front of one backend, and the one thread that drains it.

Promises: a backend has one writer. Due objects are taken in batches, and a single object does not
wait for a batch to fill. An object that is not ready, or whose backend is away, becomes due again
after growing, jittered delays; tries while a backend is away do not count. If a lane has several
handlers, it pauses only those whose backend is away (`breakers`). Leaves out: how an object is
brought to its wanted state (`converge`), and what happens to a request's file (the caller passes
`finish`).
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from provisioner.contract import Fault, Handler, Key, leave_given_by
from provisioner.contract.abilities import OneByOne, Replans, able
from provisioner.convergence import recording
from provisioner.convergence.beside import Beside, nothing
from provisioner.convergence.breakers import Breakers, away_of
from provisioner.convergence.calls import timings
from provisioner.convergence.calls.hold import Alone, Hold
from provisioner.convergence.calls.reads import MOMENT
from provisioner.convergence.converge import Outcome, new
from provisioner.convergence.existing import (
    Weigh,
    guarded,
    look,
    take,
    unweighed,
    weighed,
)
from provisioner.convergence.known import Known
from provisioner.convergence.next_try import Patience
from provisioner.convergence.recording import Clerk, Withheld
from provisioner.journal import journal
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.journal import is_of_rows
from provisioner.journal.records import keepsakes, object_rows, waits
from provisioner.objects.applied import forgotten
from provisioner.objects.items import Former, Item
from provisioner.steps import binding
from provisioner.system.ulid import RequestId

log = logging.getLogger(__name__)

FEW = 32
"""Fewer objects than these, in a batch that is not full, are recorded at once: somebody waits for
them, and to find out whether there is another batch takes as long."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The result of one drain. outcomes: requests that are over; later: requests that now wait;
    begun: instances whose objects are due now, and True for those that a step waits for."""

    outcomes: Mapping[RequestId, str]
    later: Sequence[RequestId]
    begun: Mapping[str, bool] = field(default_factory=dict)

    def and_(self, other: Drained) -> Drained:
        """Return the result of both."""
        later = [*self.later, *other.later]
        return Drained({**self.outcomes, **other.outcomes}, later, {**self.begun, **other.begun})


Finish = Callable[[Drained], None]
"""Called after the commit: writes results, moves files, wakes other lanes."""


class Lane:
    """One backend's queue: `drain` takes a batch, `run` drains until `stop`."""

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Handler],
        book: journal.Journal,
        progress: binding.Progress,
        finish: Finish,
        patience: Patience,
    ) -> None:
        self.name = name
        self.paused = False
        self.observing = False
        self.now: Callable[[], float] = time.time
        """Returns the time of day. The service's own first corrects the waits after a jump."""
        self.weigh: Weigh = unweighed
        """Returns why a look may not close objects. The service's own asks policy."""
        self.came: Callable[[Collection[Key]], None] = lambda keys: None
        """Hears which of a few objects are as wanted, before that is recorded."""
        self.hold: Hold = Alone()
        """Says whether this process may write for the lane."""
        self._handlers = handlers
        self._journal = book
        self._progress = progress
        self._finish = finish
        self._patience = patience
        # A read is repeated for no longer than the lane would wait until its first next try.
        self._moment = min(MOMENT, patience.first)
        self._woken = threading.Event()
        self._stopping = False
        self._draining = False
        self._stands_back = 0.0
        self._breakers = Breakers(patience)
        self._results = nothing()
        self._known = Known()
        portions = [one.at_once() for one in handlers.values() if able(one, OneByOne)]
        self.most = min([patience.batch, *portions])
        """The most objects of a batch that are written."""

    @property
    def instances(self) -> Set[str]:
        """The instances of its handlers."""
        return self._handlers.keys()

    @property
    def away(self) -> bool:
        """Return True if a handler's backend did not answer the last time."""
        return self._breakers.away

    def wake(self, later: float = 0.0) -> None:
        """Wake the lane, so that it checks whether something is due.

        later: seconds for which it stands back for others. While it drains it looks again anyway.
        """
        if not self._draining:
            if later:
                self._stands_back = time.monotonic() + later
            self._woken.set()

    def stop(self) -> None:
        """End `run` after the current drain."""
        self._stopping = True
        self._woken.set()

    def run(self) -> None:
        """Drain until stopped. An error of the engine itself is logged, and the lane continues."""
        while self._goes_on():
            try:
                self._drain_now()
                pause = self.rest()
            except journal.JournalBroken:
                return  # the service ends, and says why
            except Overtaken as error:
                log.error("%s", error)
                return
            except journal.JournalFull as error:
                log.error("lane %s: trying again in 1 s: %s", self.name, error)
                pause = 1.0
            except Exception:
                log.exception("lane %s: the drain failed; trying again in 10 s", self.name)
                pause = 10.0
            if self._woken.wait(pause):
                time.sleep(max(0.0, self._stands_back - time.monotonic()))

    def _drain_now(self) -> None:
        """Drain; `rest` reads the journal after it, so that nothing that came meanwhile is lost."""
        self._draining = True
        try:
            self.drain()
        finally:
            self._draining = False

    def _goes_on(self) -> bool:
        """Return True if the lane should drain again; a later wake counts from here on."""
        # In this order: if the event were cleared after the look, a stop in between would be lost.
        self._woken.clear()
        return not self._stopping

    def rest(self) -> float | None:
        """Return the seconds until something is due; None if nothing is."""
        now, monotonic = self.now(), time.monotonic()
        if self.paused:
            return None
        shut = self._breakers.shut(monotonic)
        with self._journal.reading() as conn:
            due = object_rows.next_due(conn, self.name, shut)
        waits = [until - monotonic for until in shut.values()]
        if due is not None:
            waits.append(due - now)
        return max(0.0, min(waits)) if waits else None

    def drain(self) -> int:
        """Take what is due, batch by batch, and converge it; return the number of objects taken.

        The results of a batch are recorded while the next one is written, those of a few at once:
        whether more is due shows afterwards.
        """
        taken = 0
        try:
            while not self._stopping:
                # Waits are read now, so the time continues from here even if the clock is set.
                now, began = self.now(), time.monotonic()
                batch = self._due(now)
                if not batch:
                    break
                self._results.start()
                outcomes = self._converge(batch)
                if len(batch) < FEW:
                    self.came([one.item.key for one in outcomes if one.fault is None])
                ended = now + time.monotonic() - began
                self._results.finish()
                record = functools.partial(self._hand_on, batch, outcomes, ended)
                self._results = Beside(record, {due.item.key for due in batch})
                taken += len(batch)
                if len(batch) < min(FEW, self.most):
                    break
        finally:
            last, self._results = self._results, nothing()  # also if it raises
            last.finish()
        return taken

    def _due(self, now: float) -> list[waits.Due]:
        """Return what is due, without what is still being recorded.

        Where objects are made one by one, those that are only looked at come in larger batches.
        """
        if self.paused:
            return []
        shut, taken = self._breakers.shut(time.monotonic()), self._results.keys
        with self._journal.reading() as conn:
            found = waits.due(conn, self.name, now, self.most, shut, taken)
            full = self._patience.batch > self.most == len(found)
            if not full or not all(due.item.settled for due in found):
                return found
            found = waits.due(conn, self.name, now, self._patience.batch, shut, taken)
        return [due for due in found if due.item.settled]

    def _converge(self, batch: Sequence[waits.Due]) -> list[Outcome]:
        """Converge a batch, one handler after the other."""
        outcomes = [recording.early(due.item, due.missing) for due in batch if due.missing]
        begin = [due for due in batch if not (due.unbound or due.missing)]
        for instance, handler in self._handlers.items():
            items = [due.item for due in begin if due.instance == instance]
            if items:
                with timings.of(instance), leave_given_by(self.hold.sure):
                    taken = self._take(handler, items)
                self._breaker(instance, [outcome.fault for outcome in taken])
                outcomes += taken
        left = [due for due in begin if due.instance not in self._handlers]
        return [*outcomes, *map(recording.unserved, left)]

    def _hand_on(self, batch: Sequence[waits.Due], outcomes: Sequence[Outcome], now: float) -> None:
        """Record the results of a batch, and tell whoever waits for them."""
        self._finish(self._recorded(batch, outcomes, now))

    def _take(self, handler: Handler, items: Sequence[Item]) -> list[Outcome]:
        """Converge objects. Those that may not be written now are only read."""
        if self.observing:
            return observe(handler, items, self._moment)
        outcomes: list[Outcome] = []
        others = [item for item in items if guarded(handler, item)]
        theirs = {item.key for item in others}
        mine = [item for item in items if item.key not in theirs] if others else items
        allowed = weighed(handler, mine, self.weigh, self._moment)
        outcomes += allowed.outcomes
        if allowed.items:
            same = new if able(handler, Replans) else self._known.same
            outcomes += take(handler, allowed.items, self._save, self._moment, same, self.most)
        if others:
            outcomes += [
                replace(seen.outcome, adoption=seen.adoption)
                for seen in look(handler, others, self._moment)
            ]
        return outcomes

    def _save(self, former: Former) -> None:
        """Make durable what objects were; the next that the lane does is to write them."""
        with self._journal.transaction() as conn:
            self.hold.check(conn)
            keepsakes.save(conn, former)
        self._results.begin()

    def _recorded(
        self, taken: Sequence[waits.Due], outcomes: Sequence[Outcome], now: float
    ) -> Drained:
        """Record the results. If one cannot be recorded, its object gets a fault instead, and keeps
        back no other."""
        try:
            return self._record(taken, outcomes, now)
        except Exception as error:
            plain = [recording.plain(outcome) for outcome in outcomes]
            if plain != outcomes:
                return self._recorded(taken, plain, now)
            if not is_of_rows(error):
                raise
            if len(taken) == 1:
                log.exception("lane %s: %s: not recorded", self.name, taken[0].item.key)
                faulty = [recording.unrecorded(outcome, error) for outcome in outcomes]
                return self._record(taken, faulty, now)
        middle = len(taken) // 2
        first = {due.item.key for due in taken[:middle]}
        mine = [outcome for outcome in outcomes if outcome.item.key in first]
        others = [outcome for outcome in outcomes if outcome.item.key not in first]
        made = self._recorded(taken[:middle], mine, now)
        return made.and_(self._recorded(taken[middle:], others, now))

    def _record(
        self, taken: Sequence[waits.Due], outcomes: Sequence[Outcome], now: float
    ) -> Drained:
        """Record the results of converging, and end the part of unbound objects in their steps.

        An unbound object was not read, so that its recorded state stays. What others wait for, and
        nothing is due of, is looked at again: nobody else may find out that it is ready.
        """
        for outcome in outcomes:
            if outcome.fault is not None and outcome.fault.trace:
                log.error("lane %s: %s\n%s", self.name, outcome.fault, outcome.fault.trace)
        unbound = [due.item for due in taken if due.unbound]
        resting = {due.missing.key for due in taken if due.missing and due.missing.rests}
        batch = Clerk(self._patience, self.observing, now).batch(outcomes, unbound)
        made: dict[RequestId, str] = {}
        later: list[RequestId] = []
        begun: dict[str, bool] = {}
        try:
            for settled in recording.written(
                self._journal, self.hold, self._progress, batch, resting, now
            ):
                made |= settled.made.outcomes
                later += settled.later
                begun |= settled.made.begun
        except Exception:
            self._finish(Drained(made, later, begun))  # that much is committed
            raise
        self._known.note(outcomes)
        return Drained(made, later, begun)

    def _breaker(self, instance: str, faults: Sequence[Fault | None]) -> None:
        """Stop calling a handler whose backend is away, or resume after its first answer."""
        away = away_of(faults)
        if away is None:
            if self._breakers.close(instance):
                self._note_breaker()
            return
        delay = self._breakers.open(instance, away.message, time.monotonic())
        log.warning(
            "lane %s: the backend of %s is away, next try in %.0f s: %s",
            *(self.name, instance, delay, away.message),
        )
        self._note_breaker()

    def _note_breaker(self) -> None:
        """Record which backend is away; of several, the one that is tried first."""
        until, reason = None, None
        if (first := self._breakers.first()) is not None:
            instance, at, said = first
            until = self.now() + max(0.0, at - time.monotonic())
            reason = f"{instance}: {said}" if len(self._handlers) > 1 else said
        with self._journal.transaction() as conn:
            self.hold.check(conn)
            object_rows.set_lane(conn, self.name, breaker_until=until, breaker_reason=reason)


def observe(handler: Handler, items: Sequence[Item], moment: float = MOMENT) -> list[Outcome]:
    """Return what converging would result in, without writing.

    An object in its wanted state has converged. So has one that lacks only our mark: the ledger
    records it as ours until the mark may be written. From then on, the service also owns those of
    its settings that are as wanted.
    """
    outcomes = []
    for seen in look(handler, items, moment):
        fault, applied = seen.outcome.fault, seen.outcome.applied
        if applied is not None and not seen.outcome.item.applied:
            applied = forgotten(applied)
        if seen.writes:
            key = seen.outcome.item.key
            fault = Withheld(
                f"{key}: not written while the service only observes: {'; '.join(seen.writes)}",
                advice="run `provisioner drift`, review it, then run `provisioner journal release`",
            )
        outcomes.append(replace(seen.outcome, fault=fault, adoption=seen.adoption, applied=applied))
    return outcomes


def lanes_of(handlers: Mapping[str, Handler]) -> dict[str, dict[str, Handler]]:
    """Group instances by the lane that writes for them."""
    lanes: dict[str, dict[str, Handler]] = {}
    for instance, handler in handlers.items():
        lanes.setdefault(handler.lane, {})[instance] = handler
    return lanes
