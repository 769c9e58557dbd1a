"""A process that places lanes by jobs ends when it is to, whatever its connections do meanwhile."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import pytest

from provisioner.convergence.calls.hold import Alone, Hold
from provisioner.hosts.jobs import Jobs
from provisioner.hosts.member import Member
from provisioner.journal.hosts.presence import lanes_role
from provisioner.journal.journal import Journal
from tests.support import databases
from tests.support.waiting import LONGEST, until

pytestmark = pytest.mark.lab


class Idle:
    """A lane that has nothing to do."""

    name, instances = "first", frozenset[str]()
    hold: Hold = Alone()

    def __init__(self) -> None:
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()

    def wake(self, later: float = 0.0) -> None:
        """Do nothing."""

    def run(self) -> None:
        self._over.wait()


def cancel(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all that goes on, so that a failure does not keep the tests from their end."""
    for task in asyncio.all_tasks(loop):
        task.cancel()


def test_a_process_ends_also_if_what_keeps_its_jobs_does_not_hear_that_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, lost = threading.Event(), threading.Event()
    put = Jobs._put

    async def deaf(jobs: Jobs, lane: str) -> None:
        """Lose a cancellation, as `asyncio.wait_for` does before Python 3.12 when a wait ends."""
        await put(jobs, lane)
        if not begun.is_set():
            begun.set()
            try:
                await asyncio.sleep(LONGEST)
            except asyncio.CancelledError:
                lost.set()

    monkeypatch.setattr(Jobs, "_put", deaf)
    address = databases.cluster().make()
    with closing(Journal.open(address)) as book:
        jobs = Jobs(book, address, Member(book, lanes_role(["first"]), 0.5))
        jobs.enter()
        jobs.start({"first": Idle()}, threading.Event())
        assert begun.wait(LONGEST)
        ending = threading.Thread(target=jobs.stop, daemon=True)
        ending.start()
        try:
            until(lambda: not ending.is_alive(), "the process to end")
        finally:
            if (loop := jobs._loop) is not None and not loop.is_closed():
                loop.call_soon_threadsafe(cancel, loop)
    assert lost.is_set()
