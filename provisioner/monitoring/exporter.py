"""Metrics for Prometheus: on loopback, or as a file for node_exporter.

Promises: nothing is measured on the path of a request. What the journal knows is read when somebody
reads the metrics, on a connection of its own that blocks no writer, and at most every few seconds.
Trouble with metrics is logged once and ends nothing. Leaves out: alerts (deploy/monitoring).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
    make_wsgi_app,
    write_to_textfile,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from provisioner.config.metrics import split
from provisioner.config.schema import Config
from provisioner.convergence.calls import timings
from provisioner.journal.figures import figures
from provisioner.journal.figures.figures import Figures
from provisioner.journal.hosts import together
from provisioner.journal.hosts.presence import HOUSE
from provisioner.journal.hosts.together import Together
from provisioner.journal.journal import Journal
from provisioner.monitoring.looks import Looks
from provisioner.monitoring.port import Port
from provisioner.recovery import backup
from provisioner.request.actions import ACTIONS

log = logging.getLogger(__name__)

FRESH = 5.0
"""Seconds for which figures are not read again."""

_OUTCOMES = 500
"""Outcomes that are looked at together."""

_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
_LAST = 5.0


class Exporter:
    """The metrics of one process, between `start` and `stop`."""

    def __init__(self, config: Config, lanes: Collection[str], looks: Looks) -> None:
        """lanes: all that are configured."""
        self._config = config
        self.lanes = lanes
        self._settings = config.metrics
        self.looks = looks
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(cast(Any, _Reading(self)))
        self.registry.register(cast(Any, _Process(looks)))
        ProcessCollector(namespace="provisioner", registry=self.registry)
        named: dict[str, Any] = {"registry": self.registry, "namespace": "provisioner"}
        self._ended = Counter(
            "requests_ended", "Requests that ended.", ["action", "outcome"], **named
        )
        self._took = Histogram(
            "request_seconds", "From acceptance to the outcome.", ["action"], buckets=_SECONDS,
            **named,
        )  # fmt: skip
        self._steps = Histogram(
            "step_seconds", "From a step's beginning to its end.", ["step", "handler"],
            buckets=_SECONDS, **named,
        )  # fmt: skip
        self._turn = threading.Lock()
        self._book: Journal | None = None
        self._identity = ""
        self._seen = -1
        self._figures: Figures | None = None
        self.together = Together()
        self._read_at = 0.0
        self._server: Port | None = None
        self._complaint = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Serve metrics, if they are configured. Never raises."""
        if not self._settings.wanted:
            return
        try:
            self.read()  # outcomes count from here on
            if self._settings.listen is not None and self._server is None:
                host, port = split(self._settings.listen)
                self._server = Port(host, port, make_wsgi_app(self.registry))
        except Exception as error:
            log.error("metrics are not served on %s: %s", self._settings.listen, error)
        if self._settings.textfile is not None:
            self._thread.start()

    def stop(self) -> None:
        """Serve no metrics any more."""
        self._stopping.set()
        if self._server is not None:
            self._server.close()
        if self._thread.is_alive():
            self._thread.join(_LAST)
        with self._turn:
            if self._book is not None:
                self._book.close()

    def read(self) -> Figures | None:
        """Return the figures of now, or of a few seconds ago; None if they cannot be read."""
        with self._turn:
            if self._figures is not None and time.monotonic() - self._read_at < FRESH:
                return self._figures
            try:
                self._figures = self._read()
                self._complaint = ""
            except Exception as error:
                if self._complaint != str(error):
                    self._complaint = str(error)
                    log.error("metrics: the journal cannot be read: %s", error)
                return None
            self._read_at = time.monotonic()
            return self._figures

    def _read(self) -> Figures:
        if self._book is None:
            self._book = Journal.open(self._config.journal)
            self._identity = self._book.identity
        lease = self._config.roles.lease
        with self._book.reading() as conn:
            read = figures.read(conn, time.time())
            self.together = together.look(conn, self._book.now(conn), lease)
            if self._seen < 0:
                self._seen = read.last_event
            while self._seen < read.last_event:
                listed, self._seen = figures.ended_after(conn, self._seen, _OUTCOMES)
                for one in listed:
                    self._count(one)
        return read

    def _count(self, one: figures.Ended) -> None:
        action = one.action if one.action in ACTIONS else "other"
        self._ended.labels(action, one.outcome).inc()
        self._took.labels(action).observe(one.seconds)
        for name, handler, seconds in one.steps:
            self._steps.labels(name, handler).observe(seconds)

    def _run(self) -> None:
        path, told = self._settings.textfile, ""
        assert path is not None
        while True:
            try:
                write_to_textfile(str(path), self.registry)
                path.chmod(0o644)
                told = ""
            except OSError as error:
                if told != str(error):
                    told = str(error)
                    log.error("metrics cannot be written: %s", error)
            except Exception:
                log.exception("metrics could not be made")
            if self._stopping.wait(self._settings.every):
                return

    @property
    def backup_age(self) -> float | None:
        """Return the seconds since the newest copy of the journal; None if there is none."""
        try:
            newest = backup.newest_at(self._config.backup_directory, self._identity)
        except OSError:
            return None
        return None if newest is None else time.time() - newest

    @property
    def idle(self) -> bool:
        """Return True if people are closed for being idle."""
        return self._config.idle.after is not None

    @property
    def labels(self) -> tuple[str, str]:
        """Return what names this service: its name and the program's version."""
        return self._config.service, version("hpc-provisioner")


def text(config: Config, lanes: Collection[str]) -> str:
    """Return what every process of a journal says: the metrics that are read from it.

    Those of one process are left out: what it counts since its start, and its calls to backends.
    """
    exporter = Exporter(config, lanes, Looks())
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast(Any, _Reading(exporter)))
    try:
        return generate_latest(registry).decode()
    finally:
        exporter.stop()


class _Reading:
    """Reads what the journal knows, each time that somebody asks."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of now."""
        exporter, now = self._exporter, time.time()
        yield _gauge("info", "The service, and its version.", ("service", "version"), {
            exporter.labels: 1,
        })  # fmt: skip
        read = exporter.read()
        yield _gauge("journal_readable", "The journal could be read.", (), {(): read is not None})
        if read is not None:
            yield from _of_requests(read, now)
            yield from _of_backends(read)
            yield from _of_drift(read)
            yield from _of_idle(read if exporter.idle else None)
            yield from _of_hosts(exporter.together, exporter.lanes)
        age = exporter.backup_age
        if age is not None:
            yield _gauge("backup_age_seconds", "The newest copy of the journal.", (), {(): age})


class _Process:
    """Reads what the process has done."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of now."""
        yield from _of_calls()
        looks = self._looks
        taken = {(): looks.ended} if looks.ended is not None else {}
        lost = CounterMetricFamily(
            "provisioner_events_lost", "Times that the kernel dropped events of staging."
        )
        for labels in taken:
            lost.add_metric(labels, looks.lost())
        yield lost
        took = dict.fromkeys(taken, looks.seconds)
        yield _gauge("sweep_seconds", "The last look into staging.", (), took)
        yield _gauge("sweep_timestamp_seconds", "When that look ended.", (), taken)


def _of_requests(read: Figures, now: float) -> Iterator[Metric]:
    number = {(state, action): count for (state, action), count in read.by_action.items()}
    yield _gauge("requests", "Requests that are open.", ("state", "action"), number)
    ages = {(state,): now - some.oldest for state, some in read.open.items()}
    yield _gauge("requests_oldest_seconds", "Age of the oldest open request.", ("state",), ages)
    told = "Requests that failed or were refused, and were not fixed."
    yield _gauge("requests_need_person", told, (), {(): read.need_person})
    messages = {(str(state),): count for state, count in read.messages.items()}
    yield _gauge("messages", "Messages to people, by state.", ("state",), messages)


def _of_backends(read: Figures) -> Iterator[Metric]:
    lanes = read.lanes.items()
    due = {(name, "now"): lane.due for name, lane in lanes}
    due |= {(name, "later"): lane.later for name, lane in lanes}
    yield _gauge("lane_due", "Objects that a lane has to look at.", ("lane", "when"), due)
    paused = {(name,): lane.paused for name, lane in lanes}
    yield _gauge("lane_paused", "A person paused the lane.", ("lane",), paused)
    away = {(name,): bool(lane.away) for name, lane in lanes}
    yield _gauge("lane_away", "The lane's backend is away.", ("lane",), away)
    objects = read.objects.items()
    for kind, told in (
        ("known", "Objects that the ledger knows."),
        ("differing", "Objects that are not as wanted, as far as the last look shows."),
        ("failing", "Objects whose last try ended with an error."),
    ):
        numbers = {(name,): getattr(some, kind) for name, some in objects}
        yield _gauge(f"objects_{kind}", told, ("handler",), numbers)


def _of_drift(read: Figures) -> Iterator[Metric]:
    looks = {(name,): some.look for name, some in read.drift.items()}
    for kind, told, value in (
        (
            "differing",
            "Objects that differed at the last look for drift.",
            lambda x: len(x.differing),
        ),
        ("failing", "Objects that had another error at that look.", lambda x: x.failing),
        ("look_failed", "The handler could not be asked at that look.", lambda x: bool(x.error)),
        ("look_timestamp_seconds", "When that look began.", lambda x: x.at),
        ("look_seconds", "How long that look took.", lambda x: x.seconds),
    ):
        numbers = {labels: value(look) for labels, look in looks.items()}
        yield _gauge(f"drift_{kind}", told, ("handler",), numbers)
    for kind in ("found", "repaired"):
        counted = CounterMetricFamily(
            f"provisioner_drift_{kind}", f"Objects whose drift was {kind}.", labels=("handler",)
        )
        for name, some in read.drift.items():
            counted.add_metric((name,), getattr(some, kind))
        yield counted


def _of_idle(read: Figures | None) -> Iterator[Metric]:
    """Yield the last round of idle people. read: None if nobody is ever closed for that."""
    rounds = {(): read.idle} if read is not None and read.idle is not None else {}
    yield _gauge(
        "idle_doubts",
        "What was in doubt when idle people were last looked for: nobody is closed.",
        (),
        {labels: len(one.problems) for labels, one in rounds.items()},
    )
    yield _gauge(
        "idle_round_timestamp_seconds",
        "When idle people were last looked for.",
        (),
        {labels: one.at for labels, one in rounds.items()},
    )


def _of_hosts(seen: Together, lanes: Collection[str]) -> Iterator[Metric]:
    """Yield who serves the journal together; nothing if one process serves alone."""
    rows = {(each.host.name, each.host.roles): each for each in seen.hosts}
    for name, told, value in (
        ("up", "The process was heard within two leases.", lambda x: not x.missing),
        ("heard_timestamp_seconds", "When it was last heard.", lambda x: x.host.heard),
        ("start_timestamp_seconds", "When it began.", lambda x: x.host.since),
    ):
        numbers = {labels: value(each) for labels, each in rows.items()}
        yield _gauge(f"host_{name}", told, ("host", "roles"), numbers)
    intakes = {(): seen.intakes} if seen.hosts else {}
    yield _gauge("intakes", "Processes that take requests, and are heard.", (), intakes)
    kept = {(): HOUSE in seen.drained} if seen.hosts else {}
    yield _gauge("house_kept", "A host keeps house.", (), kept)
    served = {(lane,): lane in seen.drained for lane in lanes} if seen.hosts else {}
    yield _gauge("lane_served", "A host drains the lane.", ("lane",), served)
    of, since = {}, {}
    for lane, holder in seen.drained.items():
        of[lane, holder.host], since[lane,] = 1, holder.since
    yield _gauge("lane_host_info", "Which host drains the lane.", ("lane", "host"), of)
    told = "Since when that host drains it."
    yield _gauge("lane_host_timestamp_seconds", told, ("lane",), since)


def _of_calls() -> Iterator[Metric]:
    took = HistogramMetricFamily(
        "provisioner_backend_call_seconds", "Calls to backends.", labels=("handler", "call")
    )
    errors = CounterMetricFamily(
        "provisioner_backend_call_errors", "Calls that failed.", labels=("handler", "call")
    )
    for labels, calls in sorted(timings.all_calls().items()):
        bounds = ["+Inf" if b == float("inf") else str(b) for b in timings.BOUNDS]
        took.add_metric(labels, list(zip(bounds, calls.buckets, strict=True)), calls.seconds)
        errors.add_metric(labels, calls.errors)
    yield took
    yield errors


def _gauge(name: str, told: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    """values: by the values of the labels."""
    made = GaugeMetricFamily(f"provisioner_{name}", told, labels=labels)
    for of, value in values.items():
        made.add_metric(of, float(value))
    return made
