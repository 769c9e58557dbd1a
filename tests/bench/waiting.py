"""A service that starts with many requests waiting: until the last of them is accepted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from provisioner.service import Service
from provisioner.spool.spool import Submission
from tests.bench import floors
from tests.bench.drops import note_acceptance, running
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.place import fresh
from tests.bench.requests import fill, site

WAITING = 100_000


def accepted(top: Path, number: int) -> float:
    """Return the seconds from the start of a service to the last acceptance."""
    system, spool = site(top)
    fill(spool.staging, number)
    service = Service(system, spool)
    left, over, last = number, threading.Event(), 0.0

    def note(submissions: list[Submission]) -> None:
        nonlocal left, last
        left -= len(submissions)
        if not left:
            last = time.monotonic()
            over.set()

    note_acceptance(service, note)
    began = time.monotonic()
    with running(service):
        over.wait()
    return last - began


def rounds(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of a service, and of the floor."""
    number = setting.size(WAITING)
    while True:
        with fresh(setting.top) as top:
            floor = sum(floors.accept(top, number))
        with fresh(setting.top) as top:
            yield Run(accepted(top, number), floor)


FIGURES = (
    Figure(
        "waiting",
        "100,000 requests wait when the service starts: until the last is accepted",
        "a program that renames and reads the same files and inserts such rows",
        "s",
        rounds,
        (Aim("value", 15.0, most=True, where="memory"),),
    ),
)
