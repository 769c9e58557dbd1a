"""The forms of a service: one process, or an intake and lanes, each on a host of its own.

Promises: a site is played through an act in either form, and one of its processes may be killed at
a point; whoever takes its place has another host's name. Leaves out: what is dropped (`scenario`),
and what has to be true afterwards (`invariant`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol

from provisioner.cli.exits import Exit
from provisioner.config import schema
from provisioner.convergence.lanes import lanes_of
from provisioner.hosts.handing.handing import hand_on
from provisioner.journal.journal import Journal
from provisioner.spool.submit import drop
from provisioner.wiring import build
from tests.fault import invariant
from tests.fault.points import NOWHERE, WRITERS, Aim, Ended, Nursery
from tests.support import databases
from tests.support.waiting import LONGEST, until

Hits = Mapping[tuple[str, str], int]
"""How often each part of a service reached each point."""

OPEN = (
    "SELECT writer_id, state FROM requests "
    "WHERE state IN ('accepted', 'deferred', 'scheduled', 'held')"
)
HANDED = "SELECT count(*) FROM handed"
LAST = "SELECT coalesce(max(seq), 0) FROM events"

AGAIN = 1
"""The status that systemd repeats: on a very busy host a lease may be over before it is renewed."""

_RUNS = 5
"""How often one process is run for an act: on a busy host its patience may end before its work."""

PAUSE = 0.05
"""Seconds between looks."""


@dataclass(frozen=True)
class Act:
    """A part of what a service is played through. patience: seconds without an event after which
    one process ends; waiting: the requests that wait at its end for what comes later."""

    patience: str
    waiting: Collection[str] = ()

    def all_waits(self, open_: Iterable[tuple[str, str]]) -> bool:
        """Return True if open requests, each with its state, wait for what comes later."""
        states = ("deferred", "scheduled", "held")
        return {(one, s) for one in self.waiting for s in states}.issuperset(open_)


@dataclass
class Played:
    """What became of a service. hits: of those processes that ended in order."""

    hits: dict[tuple[str, str], int] = field(default_factory=dict)
    killed: bool = False

    def note(self, part: str, ended: Ended) -> None:
        """Note how a process ended: in order, by its own hand, or to be started again."""
        assert ended.killed or ended.code in (0, AGAIN, Exit.AWAY), ended.log

        self.killed |= ended.killed
        self.hits |= {(part, point): hits for point, hits in ended.hits.items()}


class Serving(Protocol):
    """A service that runs, or is started for each act."""

    @property
    def played(self) -> Played:
        """What became of it; complete once it has ended."""

    def play(self, act: Act) -> None:
        """Serve until an act is over."""


class Form(Protocol):
    """How a service is run."""

    configuration: str
    """What its configuration has beside what any has."""

    sample: int
    """One point in so many is killed at, unless all are."""

    def placed(self, text: str, root: Path) -> str:
        """Return the text of a configuration with the journal where this form has it."""

    def steer(self, root: Path, texts: Mapping[str, str]) -> None:
        """Send requests as an operator does who need not be on the host that takes them."""

    def serving(self, root: Path, aim: Aim = NOWHERE) -> AbstractContextManager[Serving]:
        """Serve a site during the block, which ends with the service's end."""


class Alone:
    """One process, with the journal where JOURNAL_ON says."""

    configuration = ""
    sample = 13

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery

    def placed(self, text: str, root: Path) -> str:
        """Return it with the journal in the chosen database."""
        return databases.placed(text, root)

    def steer(self, root: Path, texts: Mapping[str, str]) -> None:
        """Drop them."""
        for name, text in texts.items():
            drop(root / "spool/staging", name, text.encode())

    @contextmanager
    def serving(self, root: Path, aim: Aim = NOWHERE) -> Iterator[Serving]:
        """Start a process for each act."""
        yield Drained(self._nursery, root, aim)


@dataclass
class Drained:
    """A `Serving` that ends by itself."""

    nursery: Nursery
    root: Path
    aim: Aim
    played: Played = field(default_factory=Played)

    def play(self, act: Act) -> None:
        """Run it until nothing is left to do but what waits, or it is killed."""
        words = ("run", "--drain", "--patience", act.patience)
        for _ in range(_RUNS):
            self.played.note("", self.nursery.run(self.root, *words, aim=self.aim))
            if self.played.killed or act.all_waits(databases.ask(self.root, OPEN)):
                return


class Hosts:
    """An intake and a process with all lanes, with the journal on a server. Needs root."""

    configuration = "roles: {lease: 1.5}\n"
    sample = 80

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._numbers = count(1)

    def placed(self, text: str, root: Path) -> str:
        """Return it with the journal on a server."""
        return databases.on_server(text, root)

    def steer(self, root: Path, texts: Mapping[str, str]) -> None:
        """Hand them on, from a host without a spool."""
        with closing(Journal.open(schema.load(root / "provisioner.yaml").journal)) as book:
            for name, text in texts.items():
                hand_on(book, name, text.encode())

    @contextmanager
    def serving(self, root: Path, aim: Aim = NOWHERE) -> Iterator[Serving]:
        """Start both, and stop them at the end."""
        made = Together(self._nursery, root, aim, self._numbers)
        try:
            made.start("lanes")
            made.start("intake")
            yield made
        finally:
            made.stop()


class Together:
    """A `Serving` of several processes."""

    def __init__(self, nursery: Nursery, root: Path, aim: Aim, numbers: Iterator[int]) -> None:
        """numbers: of hosts; none comes twice."""
        self.played = Played()
        self._nursery, self._root, self._aim = nursery, root, aim
        config = schema.load(root / "provisioner.yaml")
        lanes = sorted(lanes_of(build(config).handlers))
        self._words = {"intake": ("--intake",), "lanes": ("--lanes", ",".join(lanes))}
        self._ready = {"intake": [" serves "]}
        self._ready["lanes"] = [f"lane {name} is drained here" for name in lanes]
        self._running: dict[str, int] = {}
        self._numbers = numbers

    def start(self, part: str) -> None:
        """Start a part on another host; it is aimed at until one of its processes was killed."""
        aimed = self._aim.part == part and not self.played.killed
        aim = self._aim if aimed else NOWHERE
        host = f"{part}{os.getpid()}-{next(self._numbers)}"
        words = ("run", *self._words[part])
        self._running[part] = self._nursery.start(self._root, *words, aim=aim, host=host)

    def play(self, act: Act) -> None:
        """Serve until nothing is left to do; replace whoever dies."""
        last, since = -1, time.monotonic()
        while True:
            until(self._ready_or_replaced, "all parts to serve")
            # In the order in which a file goes on: else it would be missed on its way.
            amiss = self._under_way() or invariant.violations(self._root, (), ended=False)
            open_, [[event]] = (databases.ask(self._root, ask) for ask in (OPEN, LAST))
            if not amiss and act.all_waits(open_):
                return
            if event != last:
                last, since = event, time.monotonic()
            assert time.monotonic() < since + LONGEST, f"nothing happens: {amiss}, open {open_}"
            time.sleep(PAUSE)

    def stop(self) -> None:
        """End all that run."""
        for process in self._running.values():
            if not self._nursery.is_over(process):
                os.kill(process, signal.SIGTERM)
        ended = {part: self._nursery.end(process) for part, process in self._running.items()}
        for part, end in ended.items():
            self.played.note(part, end)

    def _ready_or_replaced(self) -> bool:
        """Return True if each part serves. Replace who has died."""
        for part, process in list(self._running.items()):
            if self._nursery.is_over(process):
                del self._running[part]
                self.played.note(part, self._nursery.end(process))
                self.start(part)
        return all(
            word in self._nursery.log(process).read_text()
            for part, process in self._running.items()
            for word in self._ready[part]
        )

    def _under_way(self) -> int:
        [[handed]] = databases.ask(self._root, HANDED)
        names = invariant.files(self._root)["staging"]
        return int(handed) + sum(not name.startswith(".") for name in names)


def turns(root: Path) -> list[str]:
    """List the lanes for which a process has written after another one had begun to."""
    path = root / WRITERS
    lines = path.read_text().splitlines() if path.exists() else []
    order: dict[str, list[str]] = {}
    for line in lines:
        lane, process, _ = line.split()
        whose = order.setdefault(lane, [])
        if process not in whose[-1:]:
            whose.append(process)
    return [
        f"lane {lane} was written for by {', '.join(whose)} in turns"
        for lane, whose in order.items()
        if len(whose) != len(set(whose))
    ]
