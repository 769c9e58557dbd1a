"""The service: one intake, a thread for each lane, and a scan that would be enough alone.

Promises: files in staging are taken, due objects are drained, and the start continues what a crash
interrupted. One service at a time serves a spool. Leaves out: how each of these is done.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from typing import assert_never

from provisioner.admission import after_commit as after
from provisioner.admission.acceptance import Terms
from provisioner.admission.admission import unjudged
from provisioner.admission.enclosures import Enclosures
from provisioner.admission.intake import Intake
from provisioner.admission.reading import Reader
from provisioner.admission.signature import Signatures
from provisioner.contract import ConfigError, Handler
from provisioner.convergence import threads
from provisioner.convergence.ahead import Ahead
from provisioner.convergence.lanes import Drained, Lane, lanes_of
from provisioner.convergence.next_try import Patience
from provisioner.hosts.placement import Here, Placement
from provisioner.idle.rounds import Rounds
from provisioner.inspection import failures
from provisioner.inspection.daily_report import Reporter
from provisioner.journal.journal import JournalBroken, JournalFull
from provisioner.journal.records import event_rows, object_rows, request_rows, waits
from provisioner.manifests.following import Follower
from provisioner.manifests.portions import Portions
from provisioner.monitoring.metrics import Metrics
from provisioner.notify.courier import Courier
from provisioner.objects.states import RUNNING, RequestState
from provisioner.outcome.filing import Finisher
from provisioner.outcome.filing_thread import Clerk
from provisioner.outcome.outsiders import Outsiders, Refusals
from provisioner.policy.gradual import Closings
from provisioner.policy.review import Review
from provisioner.policy.writers import Writers
from provisioner.quotas.watch import Watch
from provisioner.recovery import startup
from provisioner.recovery.backup import Copier
from provisioner.recovery.clock import Clock
from provisioner.recovery.retention import Keeper
from provisioner.spool.spool import Rejected, Spool, Submission
from provisioner.spool.turns import first_of_each
from provisioner.spool.watch import Watcher
from provisioner.steps import placement
from provisioner.system.sd_notify import Notifier
from provisioner.system.ulid import RequestId
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

    def __init__(self, system: System, spool: Spool, *, write_results: bool = True) -> None:
        self._system, self._spool = system, spool
        self.placement: Placement = Here(system.journal)
        self._journal = book = system.journal
        self._finisher = Finisher(
            spool, book, system.outputs_of, system.uses, write_results=write_results
        )
        self.clerk = Clerk(self._finisher, self.wake)
        self.keeper = Keeper(spool, self._journal, system.config.retention)
        self.copier = Copier(self._journal, system.config)
        self.reporter = Reporter(system)
        review = Review(system.policy, system.nature)
        writers = Writers(book, system.policy)
        reads = spool.companions.manifest
        enclosures = Enclosures(system.config.manifests, review, reads, system.router, writers)
        self._keep, self._refused = system.config.retention.outsider_count, 0
        self.keeper.outsiders = Outsiders(spool, self._journal, self._keep, review.is_outsider)
        policy, days = system.config.policy, system.config.retention.journal_days
        signatures = Signatures(policy.signatures, days, spool.companions.signature)
        terms = Terms(
            book=self._journal,
            reader=Reader(system.router, review, enclosures, signatures, writers),
            review=review,
            writers=writers,
            refusals=Refusals(review.is_outsider),
            progress=system.progress,
            lanes=system.router.lanes,
            has_file=self._finisher.has_file,
        )
        self.intake = Intake(terms)
        self._finisher.refusals = terms.refusals
        self.courier = Courier(system, failures.present, review.is_outsider)
        self.metrics = Metrics(system.config)
        follower, strikes = Follower(terms, self._after_commit), self._finisher.strikes
        self.portions = Portions(book, follower, enclosures, review, system.router, strikes)
        self.clock = Clock(book, {name: one.longest for name, one in system.patience.items()})
        self.keeper.now, self.courier.dated = self.clock.settled, self.clock.dated
        self.idle = Rounds(system, self.courier.address, self.clock.sure)
        self.quotas = Watch(system, self.courier.address, self.clerk.renew, self.clock.dated)
        self.ahead = Ahead(lambda keys: system.look_ahead(keys, self._here()))
        self.lanes = {n: self._lane(n, some) for n, some in lanes_of(system.handlers).items()}
        self._fed = [lane for lane in self.lanes.values() if lane.most <= BATCH]
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._company_until = 0.0
        self._alive: Callable[[], None] = lambda: None
        self._journal.when_broken(self.stop)
        sys.setswitchinterval(SWITCH)
        threads.share_memory()

    def _lane(self, name: str, handlers: Mapping[str, Handler]) -> Lane:
        system, patience = self._system, self._system.patience.get(name, Patience())
        lane = Lane(name, handlers, self._journal, system.progress, self._drained, patience)
        lane.now, lane.weigh = self.clock.now, Closings(self._journal, system.policy).too_many
        lane.came = self.ahead.came
        return lane

    def wake(self) -> None:
        """Look for files in staging."""
        self._woken.set()

    def changed(self, ids: Collection[RequestId]) -> None:
        """Put the files of requests in their places that lanes of other hosts have ended."""
        self.clerk.settle(ids)
        self.wake()

    def stop(self) -> None:
        """End `run` when the current work is done."""
        self._finisher.strikes.stopping()
        self._stopping.set()
        self._woken.set()

    def run(self, notifier: Notifier | None = None) -> None:
        """Serve until stopped. notifier: gets "ready", "alive" and "stopping"."""
        notifier = notifier or Notifier({})
        self._journal.tell(lambda: None if self._stopping.is_set() else notifier.starting())
        self.recover()
        with ExitStack() as running:
            reading = (self.metrics, self.courier, self.reporter, self.quotas, self.idle)
            for part in (*reading, self.copier, self.keeper, self.clerk):
                if threads.started(part.start, self._stopping):
                    running.callback(part.stop)
            running.callback(self.placement.stop)
            self.placement.start(self.lanes, self._stopping)
            running.callback(self._finisher.strikes.clear)
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
            for work in (book.raise_broken, self.courier.work, keep.pin, keep.prune):
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
        if not self.copier.admits():
            self._wake_lanes()
            return 0
        self.clock.now()  # corrects waits before anything is written with the time of day
        now, more = time.monotonic(), False
        names = self._spool.waiting(BATCH)
        self._company_until = self._company_until or now + COMPANY
        try:
            self._take_and_admit(names)
            # After the files, as whoever drops one waits for it.
            for admitted in self.intake.due(self.clock.dated, TURN):
                self._after_commit(admitted.left)
                self._alive()
            more = len(names) == BATCH and now < self._company_until
        finally:
            if more:
                self.placement.wake(self._fed)
            elif names or not self.portions.looking:
                self._wake_lanes()
        return len(names) + self.intake.more_due + self.portions.step()

    def _take_and_admit(self, names: Sequence[str]) -> None:
        suspects = self._finisher.strikes.suspects.intersection(names)
        alone = [[name] for name in names if name in suspects]
        for some in [[name for name in names if name not in suspects], *alone]:
            taken = [file for name in some if (file := self._spool.take(name)) is not None]
            self._admit(taken)
        self._finisher.strikes.suspects -= suspects

    def _admit(self, taken: Sequence[Submission | Rejected]) -> None:
        left = {file.ulid: file for file in taken}
        submissions = [file for file in taken if isinstance(file, Submission)]
        until, served = time.monotonic() + TURN, set[int]()
        try:
            for admitted in self.intake.admit(submissions):
                served |= {left.pop(ulid).uid for ulid in admitted.taken}
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
                self._finisher.reject(file)
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
                    self.portions.add(writers)
                case after.CountRefused(number):
                    self._count_refused(number)
                case after.Resubmit(request):
                    self.clerk.resubmit(request)
                case after.EndObserving():
                    self._observe(False)
                    with self._journal.reading() as conn:
                        waiting = request_rows.ids_in(conn, RUNNING)
                    self.clerk.settle(waiting)  # their receipts say that it only observes
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
        deferred: list[RequestId] = []
        if drained.later:
            with self._journal.transaction() as conn:
                deferred = request_rows.set_state(
                    conn, drained.later, [RequestState.ACCEPTED], RequestState.DEFERRED
                )
        self.clerk.settle({*drained.outcomes, *deferred})

    def recover(self) -> None:
        """Continue what a crash interrupted: files follow the journal, paused lanes stay paused."""
        startup.bind(self._spool, self._journal, self._system.config.service)
        self.placement.enter(self.copier)
        if placement.place(self._journal, self._system.lanes):
            self.lanes[waits.UNSERVED] = self._lane(waits.UNSERVED, {})
        self.clock.begin()
        self._observe(startup.begin(self._journal, self._system.config))
        self.clerk.settle(self._finisher.redo())
        self.portions.resume()
        self.courier.begin()
        with self._journal.reading() as conn:
            rows = object_rows.lane_rows(conn)
        for name in rows.keys() & self.lanes.keys():
            self.lanes[name].paused = rows[name]["paused_by"] is not None

    def _here(self) -> Mapping[str, Lane]:
        return {name: lane for name, lane in self.lanes.items() if self.placement.has(name)}

    def _observe(self, observing: bool) -> None:
        """Let lanes write nothing, or write again."""
        self._finisher.teller.observing = observing
        for lane in self.lanes.values():
            lane.observing = observing
