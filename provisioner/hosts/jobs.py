"""Jobs: lanes placed by procrastinate, which puts one job for each lane into PostgreSQL.

Promises: of all hosts that may drain a lane, one does; when it ends, or is not heard for two
leases, another one takes the lane up, and waits until the former one's lease is over. A host that
was overtaken ends. Leaves out: the lease (`lease`), and who records what (`journal.hosts.holds`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import procrastinate
from procrastinate import exceptions, jobs

from provisioner.contract import ConfigError
from provisioner.convergence import threads
from provisioner.convergence.lanes import Lane
from provisioner.convergence.threads import Drains
from provisioner.hosts.lease import MARGIN, Held
from provisioner.hosts.member import BEATS, DUE, Member
from provisioner.hosts.placement import Lanes, began, woken
from provisioner.hosts.silence import Silence
from provisioner.journal.database import loaded
from provisioner.journal.hosts import holds
from provisioner.journal.hosts.holds import Holder
from provisioner.journal.journal import Journal

log = logging.getLogger(__name__)

_TASK = "lane"
_LONGEST = 40
"""The most bytes of a queue's name: with what procrastinate puts before it, a channel has 63."""

_SILENT = 2
"""Leases after which a host that is not heard has lost its jobs."""

_SIGNS = (
    "SELECT job.id, coalesce(worker.last_heartbeat::TEXT, '') AS sign, "
    "coalesce(worker.last_heartbeat < now() - make_interval(secs => %(seconds)s), true) AS stale "
    "FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = worker_id "
    "WHERE job.status = 'doing' AND job.queue_name = %(queue)s"
)
"""The jobs of a lane, when their hosts were heard, and whether that is long ago. Of procrastinate
one can only ask for the latter, which goes by the server's clock alone."""


class Jobs:
    """The `Placement` of a process that drains some lanes."""

    def __init__(self, book: Journal, place: str, member: Member) -> None:
        self._journal = book
        self._member = member
        self._lanes: Mapping[str, Drains] = {}
        self._app = procrastinate.App(connector=connector(place))
        self._serve_lane = self._app.task(name=_TASK)(self._serve)
        self._thread = threading.Thread(target=self._run, name="jobs")
        self._stopping = threading.Event()
        self._ending: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: Exception | None = None
        self._silence = Silence(_SILENT * member.seconds)
        self._held: dict[str, Held] = {}
        member.heard = self.heard
        self._serving: dict[str, asyncio.Task[None]] = {}

    def enter(self) -> None:
        """Join the others; there is no redo log."""
        self._member.join()

    def start(self, lanes: Mapping[str, Drains], stopping: threading.Event) -> None:
        """Have jobs for some lanes."""
        self._lanes = lanes
        make_tables(self._journal, self._app)
        self._member.start()
        threads.started(self._thread.start, stopping)

    def wake(self, lanes: Collection[Lane]) -> None:
        """Wake those that have something due: here, or by telling others."""
        self._member.tell(DUE, woken(self._journal, lanes, self.has))

    def begin(self, lanes: Lanes, begun: Mapping[str, bool]) -> None:
        """Wake those that are here, and tell others of the rest."""
        here = {name: lane for name, lane in lanes.items() if self.has(name)}
        threads.begin(here, begun)
        self._member.tell(DUE, [name for name in began(lanes, begun) if not self.has(name)])

    def has(self, lane: str) -> bool:
        """Return True if a lane is drained here now."""
        return lane in self._held

    def alive(self) -> bool:
        """Return True if jobs are still taken."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End after the current drains, and give lanes back."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.stop()
        if self._loop is not None and self._ending is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is None:
            self._member.leave()
        self._member.stop()

    def raise_lost(self) -> None:
        """Raise the error by which lanes or the server were lost."""
        self._member.raise_lost()
        if self._error is not None:
            raise self._error

    def heard(self, about: str, names: list[str]) -> None:
        """Wake what others have made due."""
        if about == DUE:
            for name in names:
                if name in self._held:
                    self._lanes[name].wake()

    # In the thread of jobs.

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Have the process end. error: why."""
        if self._error is None and not self._stopping.is_set():
            self._error = passing(error)
            self._member.lost()

    async def _work(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_unended)
        self._loop.set_default_executor(ThreadPoolExecutor(len(self._lanes) + 2, "job"))
        beat = self._member.seconds / BEATS
        async with self._app.open_async():
            worker = asyncio.create_task(
                self._app.run_worker_async(
                    queues=list(map(queue, self._lanes)),
                    concurrency=len(self._lanes),
                    fetch_job_polling_interval=beat,
                    listen_notify=False,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    update_heartbeat_interval=beat,
                    stalled_worker_timeout=_SILENT * self._member.seconds,
                )
            )
            keeping = asyncio.create_task(self._keep(beat))
            ending = asyncio.create_task(self._ending.wait())
            over, _ = await asyncio.wait(
                {worker, keeping, ending}, return_when=asyncio.FIRST_COMPLETED
            )
            for error in (task.exception() for task in over if not task.cancelled()):
                if isinstance(error, Exception):
                    self._fail(error)
            self._fail(_ended("this host takes no more jobs"))
            self._stopping.set()
            keeping.cancel()
            for lane in self._lanes.values():
                lane.stop()
            # The worker is heard until the last drain is over.
            await asyncio.gather(*self._serving.values(), return_exceptions=True)
            for task in (worker, ending):
                task.cancel()
            await asyncio.gather(worker, keeping, ending, return_exceptions=True)

    async def _keep(self, beat: float) -> None:
        """See to it that each lane has a job that waits, and that no job is a dead host's."""
        manager = self._app.job_manager
        while not self._stopping.is_set():  # a cancellation may be lost, as by `asyncio.wait_for`
            for name in self._lanes:
                waiting = await manager.list_jobs_async(queueing_lock=name, status="todo")
                if not list(waiting):
                    await self._put(name)
                if name in self._serving:
                    continue  # a host that is slow to beat does not end its own job
                for job in await self._silent(name):
                    log.warning("lane %s: its host is not heard any more", name)
                    # Not retried: a job keeps its number, and a slow host ends its own.
                    with suppress(exceptions.ConnectorException):  # another host has done it
                        await manager.finish_job_by_id_async(job, jobs.Status.FAILED, True)
            await asyncio.sleep(beat)

    async def _silent(self, name: str) -> set[int]:
        """Return the jobs of a lane whose hosts are not heard, by the server's clock or by ours."""
        seconds = _SILENT * self._member.seconds
        rows = await self._app.connector.execute_query_all_async(
            _SIGNS, queue=queue(name), seconds=seconds
        )
        silent = self._silence.of(name, {row["id"]: row["sign"] for row in rows})
        return silent | {row["id"] for row in rows if row["stale"]}

    async def _put(self, name: str) -> None:
        job = self._serve_lane.configure(queue=queue(name), lock=name, queueing_lock=name)
        try:
            await job.defer_async(lane=name)
        except exceptions.AlreadyEnqueued:
            return  # another host has done it

    async def _serve(self, lane: str) -> None:
        """Do the job of a lane."""
        serving = self._serving[lane] = asyncio.create_task(self._drain(lane))
        try:
            await serving
        except Exception as error:
            self._fail(error)
        finally:
            del self._serving[lane]

    async def _drain(self, lane: str) -> None:
        """Drain a lane for as long as it is this host's."""
        assert self._ending is not None
        if self._stopping.is_set():
            return
        holder, drained = await asyncio.to_thread(self._take_up, lane), self._lanes[lane]
        if holder.host is not None:
            log.info("lane %s: %s had it; waiting until its lease is over", lane, holder.host)
            wait = asyncio.wait_for(self._ending.wait(), MARGIN * self._member.seconds)
            await asyncio.gather(wait, return_exceptions=True)
        if self._stopping.is_set():
            return
        held = Held(lane, holder.epoch, self._member.lease, self._member.tell_changed)
        drained.hold = self._held[lane] = held
        log.info("lane %s is drained here", lane)
        await asyncio.to_thread(drained.run)
        del self._held[lane]
        if self._stopping.is_set():
            await asyncio.to_thread(self._give_back, holder)
        else:
            self._fail(_ended(f"lane {lane} was taken up by another host, or has ended"))

    def _take_up(self, lane: str) -> Holder:
        with self._journal.transaction() as conn:
            return holds.take_up(conn, lane, self._member.name, time.time())

    def _give_back(self, holder: Holder) -> None:
        with self._journal.transaction() as conn:
            holds.give_back(conn, holder.lane, holder.epoch)


def _unended(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no task waited for, but not that a job cannot be ended which another host has."""
    if not isinstance(context.get("exception"), exceptions.ConnectorException):
        loop.default_exception_handler(context)


def queue(lane: str) -> str:
    """Return the name of a lane's queue: a channel of the server has it at its end."""
    raw = lane.encode()
    return lane if len(raw) <= _LONGEST else hashlib.sha256(raw).hexdigest()[:_LONGEST]


def passing(error: Exception) -> Exception:
    """Return an error of procrastinate's connections as one after which systemd starts again."""
    if not isinstance(error, exceptions.ConnectorException):
        return error
    why = " ".join(str(error.__cause__ or error).split())
    return _ended(f"the connection to the journal's server was lost: {why}")


def _ended(message: str) -> ConfigError:
    """Return why the process ends, which systemd starts again."""
    return ConfigError(message, advice="see the log above; it starts again", passing=True)


def connector(place: str) -> procrastinate.PsycopgConnector:
    """Return what connects procrastinate to the server of a journal.

    Each statement of its own is a transaction: a frozen host keeps no row that others wait for.
    """
    return procrastinate.PsycopgConnector(
        conninfo=loaded(place, "server").patient(place),
        kwargs={"autocommit": True},
        min_size=1,
        max_size=4,
    )


def make_tables(book: Journal, app: procrastinate.App) -> None:
    """Make procrastinate's tables where the journal is, unless they are there."""
    manager = app.job_manager
    try:
        with app.open(), book.transaction():  # one host at a time
            if not manager.check_connection():
                app.schema_manager.apply_schema()
    except exceptions.ConnectorException as error:
        raise passing(error) from error
