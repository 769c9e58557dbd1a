"""The service: one intake, a thread for each lane, and a scan that would be enough alone.

Promises: files in staging are taken, due objects are drained, and the start continues what a crash
interrupted. One service at a time serves a spool. Leaves out: how each of these is done, and what
is done for the whole journal (`house`).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from importlib.metadata import version
from typing import assert_never

from provisioner.admission import after_commit as after
from provisioner.admission.admission import unjudged
from provisioner.admission.duplicates import ALONE, Company
from provisioner.admission.intake import Intake
from provisioner.contract import ConfigError, Handler
from provisioner.convergence import recording, threads
from provisioner.convergence.ahead import Ahead
from provisioner.convergence.calls.hold import Alone
from provisioner.convergence.lanes import Drained, Lane, lanes_of
from provisioner.convergence.next_try import Patience
from provisioner.hosts.placement import Here, Placement
from provisioner.house.house import Aside, House, terms_of
from provisioner.journal.journal import JournalBroken, JournalFull
from provisioner.journal.records import event_rows, object_rows, request_rows, waits
from provisioner.monitoring.metrics import Metrics
from provisioner.objects.states import RUNNING, RequestState
from provisioner.outcome.filing import Finisher
from provisioner.outcome.filing_thread import Clerk
from provisioner.outcome.outsiders import Outsiders
from provisioner.policy.gradual import Closings
from provisioner.recovery import startup
from provisioner.recovery.retention import Keeper
from provisioner.spool.spool import Rejected, Spool, Submission
from provisioner.spool.turns import first_of_each
from provisioner.spool.watch import Watcher
from provisioner.system.sd_notify import Notifier
from provisioner.wiring import System

log = logging.getLogger(__name__)

BATCH = 256
"""The most files accepted in one commit; a file that is alone does not wait for others."""

COMPANY = 1.0
"""Seconds for which lanes are not woken while a backlog is accepted, so that they take it as a
whole. A file that is alone wakes them at once, and a full look those whose batches it fills."""

TURN = 2.0
"""Seconds of accepting after which what else was taken goes back to staging, but one file of each
owner who had no turn yet. A request of 64 KiB can take seconds."""

SWEEP = 2.0
"""Seconds between sweeps of staging when no event comes."""

SWITCH = 0.001
"""Seconds that a busy thread may keep the interpreter, so that an arriving file need not wait."""


class Service:
    """Everything that runs while requests are served."""

    def __init__(
        self,
        system: System,
        spool: Spool,
        *,
        write_results: bool = True,
        company: Company = ALONE,
    ) -> None:
        """company: who else accepts requests into the journal."""
        self._system, self._spool = system, spool
        self.placement: Placement = Here(system.journal)
        self._journal = book = system.journal
        self.finisher = Finisher(
            spool, book, system.outputs_of, system.uses, write_results=write_results
        )
        self.clerk = Clerk(self.finisher, self.wake)
        self.keeper = Keeper(spool, self._journal, system.config.retention)
        self._terms = terms = terms_of(system, spool, self.finisher.has_file, company)
        self.intake = Intake(terms)
        self._keep, self._refused = system.config.retention.outsider_count, 0
        outsiders = Outsiders(spool, self._journal, self._keep, terms.review.is_outsider)
        self.keeper.outsiders, self.finisher.refusals = outsiders, terms.refusals
        self.finisher.now = outsiders.now = company.now
        self.keeper.now = self._settled
        self.metrics = Metrics(system.config, system.lanes.values())
        self.ahead = Ahead(lambda keys: system.look_ahead(keys, self._here()))
        self.lanes = {n: self._lane(n, some) for n, some in lanes_of(system.handlers).items()}
        self._fed = [lane for lane in self.lanes.values() if lane.most <= BATCH]
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._company_until, self._began = 0.0, False
        self._alive: Callable[[], None] = lambda: None
        self._journal.when_broken(self.stop)
        sys.setswitchinterval(SWITCH)
        threads.share_memory()

    def _lane(self, name: str, handlers: Mapping[str, Handler]) -> Lane:
        system, patience = self._system, self._system.patience.get(name, Patience())
        lane = Lane(name, handlers, self._journal, system.progress, self._drained, patience)
        lane.now = self._now
        lane.weigh = Closings(self._journal, system.policy).too_many
        lane.came = self.ahead.came
        return lane

    def _now(self) -> float:
        return self.aside.now()

    def _settled(self) -> float:
        return self.aside.settled()

    @cached_property
    def house(self) -> House:
        """The house, if it is this process's, and works in the thread that takes files."""
        whole = self._system, self._terms, self.finisher.strikes
        return House(*whole, self._after_commit, self.clerk.renew)

    @cached_property
    def aside(self) -> Aside:
        """The house, wherever it is."""
        return self.house

    def wake(self) -> None:
        """Look for files in staging."""
        self._woken.set()

    def stop(self) -> None:
        """End `run` when the current work is done."""
        self.finisher.strikes.stopping()
        self._stopping.set()
        self._woken.set()

    def run(self, notifier: Notifier | None = None) -> None:
        """Serve until stopped. notifier: gets "ready", "alive" and "stopping"."""
        notifier = notifier or Notifier({})
        self._journal.tell(lambda: None if self._stopping.is_set() else notifier.starting())
        self.recover()
        with ExitStack() as running:
            for part in (self.metrics, *self.aside.parts, self.keeper, self.clerk):
                if threads.started(part.start, self._stopping):
                    running.callback(part.stop)
            running.callback(self.placement.stop)
            self.placement.start(self.lanes, self._stopping)
            running.callback(self.finisher.strikes.clear)
            if not self._stopping.is_set():
                self._serve(notifier)
        log.info("stopped: current work is done, what waits continues at the next start")
        self._journal.raise_broken()
        self.placement.raise_lost()

    def _serve(self, notifier: Notifier) -> None:
        """Take files until stopped."""
        watcher = Watcher(self._spool.staging, self.wake)
        self.metrics.looks.lost = lambda: watcher.overflows
        watcher.start()
        log.info("%s", self._introduction())
        notifier.ready()

        def alive() -> None:
            if self.placement.alive():
                notifier.alive()

        self._alive = alive
        self._journal.tell(alive)
        try:
            while not self._stopping.is_set():
                alive()
                self._woken.clear()
                if self._take_or_complain():
                    continue
                self._woken.wait(min(SWEEP, self._spool.due_in() or SWEEP))
                watcher.healthy()
        finally:
            self._journal.tell(lambda: None)
            notifier.stopping()
            watcher.stop()

    def _introduction(self) -> str:
        """Return in one line what serves what, and how."""
        config = self._system.config
        lanes = [f"{n} (paused)" if lane.paused else n for n, lane in sorted(self.lanes.items())]
        observing = any(lane.observing for lane in self.lanes.values())
        mode = "only observing, nothing is written to a backend" if observing else "writing"
        return (
            f"provisioner {version('hpc-provisioner')} serves {config.service}: spool "
            f"{config.spool}, journal {config.journal}, lanes {', '.join(lanes) or 'none'}; {mode}"
        )

    def drain(self, patience: float) -> bool:
        """Serve until only held, scheduled or stuck requests are open.

        patience: seconds without an event after which the rest is left for later. Return True if
        nothing was left.
        """
        self.recover()
        with ExitStack() as running:
            keep, book = self.keeper, self._journal
            for work in (book.raise_broken, self.house.courier.work, keep.pin, keep.prune):
                running.callback(work)
            if threads.started(self.clerk.start, self._stopping):
                running.callback(self.clerk.stop)
            running.callback(self.placement.stop)
            self.placement.start(self.lanes, self._stopping)
            self.keeper.pin()
            last_seen, since = -1, time.monotonic()
            while not self._stopping.is_set():
                taken = self.take()
                with self._journal.reading() as conn:
                    count, last = request_rows.counts(conn), event_rows.last_event(conn)
                now_left = count.get(RequestState.ACCEPTED, 0) + count.get(RequestState.DEFERRED, 0)
                idle = not taken and not self.clerk.busy and self._spool.due_in() is None
                if now_left == 0 and idle:
                    return True
                if last != last_seen or taken:
                    last_seen, since = last, time.monotonic()
                if time.monotonic() - since > patience:
                    # Requests may be over while the clerk still moves files; stopping waits for it.
                    return now_left == 0 and self._spool.due_in() is None
                self._woken.wait(0.05)
                self._woken.clear()
        return False

    def _take_or_complain(self) -> int:
        """Take the waiting files. An unreadable staging directory does not end the service."""
        try:
            with self.metrics.looks.looking():
                return self.take()
        except (ConfigError, JournalFull, OSError) as error:
            advice = "" if isinstance(error, OSError) else f": {error.advice}"
            log.error("staging cannot be served: %s%s", error, advice)
            self._stopping.wait(SWEEP)
            return 0

    def take(self) -> int:
        """Sweep staging once and accept what is there; do a portion of a manifest.

        Return the number of names seen, plus 1 if there was a portion, and 1 if more has come due.
        """
        if not self.aside.admits():
            self._wake_lanes()
            return 0
        now, more = time.monotonic(), False
        names = self._spool.waiting(BATCH)
        try:
            if not self._began:  # what came due before this start came before the files
                self._accept_due()
                self._began = True
            self._company_until = self._company_until or now + COMPANY
            self._take_and_admit(names)
            self._accept_due()  # after the files, as whoever drops one waits for it
            more = len(names) == BATCH and now < self._company_until
        finally:
            if more:
                self.placement.wake(self._fed)
            elif names or not self.aside.looking:
                self._wake_lanes()
        return len(names) + self.aside.step()

    def _accept_due(self) -> None:
        for admitted in self.aside.due(TURN):
            self._after_commit(admitted.left)
            self._alive()

    def _take_and_admit(self, names: Sequence[str]) -> None:
        suspects = self.finisher.strikes.suspects
        later: list[str] = []
        for name in names:  # in the order in which they came, also those that are judged alone
            if name not in suspects:
                later.append(name)
                continue
            for some in (later, [name]):
                self._admit(list(self._taken(some)))
            later = []
        self._admit(list(self._taken(later)))
        suspects.difference_update(names)

    def _taken(self, names: Sequence[str]) -> Iterator[Submission | Rejected]:
        for name in names:
            self.aside.sure()
            if (file := self._spool.take(name)) is not None:
                yield file

    def _admit(self, taken: Sequence[Submission | Rejected]) -> None:
        left = {file.ulid: file for file in taken}
        submissions = [file for file in taken if isinstance(file, Submission)]
        until, served = time.monotonic() + TURN, set[int]()
        try:
            for admitted in self.intake.admit(submissions):
                taken_as = admitted.former
                served |= {left.pop(taken_as.get(ulid, ulid)).uid for ulid in admitted.taken}
                self._after_commit(admitted.left)
                self._alive()
                if left and time.monotonic() >= until:
                    first, rest = first_of_each(left.values(), served)
                    self._spool.put_back(rest)
                    self._admit(first)
                    return
        except JournalFull:
            self._spool.put_back(left.values())
            raise
        except (JournalBroken, ConfigError, OSError):
            raise
        except Exception:
            if len(left) == 1:
                log.exception("%s: judging failed unexpectedly", next(iter(left.values())).name)
                left = {ulid: unjudged(file) for ulid, file in left.items()}
            else:
                for file in left.values():
                    self._admit([file])
                return
        for file in left.values():
            if isinstance(file, Rejected):
                self.finisher.reject(file)
        self.clerk.settle(left, {ulid: file.uid for ulid, file in left.items()})
        self._count_refused(len(left))

    def _count_refused(self, more: int) -> None:
        """Let the keeper look at what outsiders left if it may be too much."""
        self._refused += more
        if self._refused > self._keep:
            self._refused = 0
            self.keeper.hasten()

    def _wake_lanes(self) -> None:
        self._company_until = 0.0
        self.placement.wake(self.lanes.values())

    def _after_commit(self, left: Iterable[after.AfterCommit]) -> None:
        """Do what remains after a commit."""
        for task in left:
            match task:
                case after.FollowManifests(writers):
                    self.aside.follow(writers)
                case after.CountRefused(number):
                    self._count_refused(number)
                case after.Resubmit(request):
                    self.clerk.resubmit(request)
                case after.EndObserving():
                    self.end_observing()
                case after.PauseLane(name, paused):
                    self.lanes[name].paused = paused
                    self.lanes[name].wake()
                case after.Discard(companion):
                    self._spool.companions.discard(companion)
                case after.MoveFiles(requests, senders):
                    self.clerk.settle(requests, senders)
                case after.Announce(requests):
                    self.clerk.announce(requests)
                case after.WakeLanes():
                    self._wake_lanes()
                case after.Prepare(expected):
                    self.ahead.expect(expected)
                    self.placement.wake(self._fed)
                    self._system.prepare(expected, self._here())
                case other:
                    assert_never(other)

    def _drained(self, drained: Drained) -> None:
        self.placement.begin(self.lanes, drained.begun)
        waiting = recording.deferred(self._journal, Alone(), drained.later)
        self.clerk.settle({*drained.outcomes, *waiting})

    def recover(self) -> None:
        """Continue what a crash interrupted: files follow the journal, paused lanes stay paused."""
        startup.bind(self._spool, self._journal, self._system.config.service)
        self.placement.enter()
        self.aside.open()
        if self.aside.unserved():
            self.lanes[waits.UNSERVED] = self._lane(waits.UNSERVED, {})
        self._observe(self.aside.begin())
        self.aside.go_on(lambda: self.clerk.settle(self.finisher.redo()))
        self.aside.resume()
        with self._journal.reading() as conn:
            rows = object_rows.lane_rows(conn)
        for name in rows.keys() & self.lanes.keys():
            self.lanes[name].paused = rows[name]["paused_by"] is not None

    def _here(self) -> Mapping[str, Lane]:
        return {name: lane for name, lane in self.lanes.items() if self.placement.has(name)}

    def end_observing(self) -> None:
        """Let lanes write again."""
        self._observe(False)
        with self._journal.reading() as conn:
            waiting = request_rows.ids_in(conn, RUNNING)
        self.clerk.settle(waiting)  # their receipts say that it only observes

    def _observe(self, observing: bool) -> None:
        """Let lanes write nothing, or write again."""
        self.finisher.teller.observing = observing
        for lane in self.lanes.values():
            lane.observing = observing
