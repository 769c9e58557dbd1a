"""Accepting alone: no lane runs, no file is written; beside the same calls and the same rows.

The floor is what no other program could leave out: each file is renamed and read, and each commit's
statements, as the service's redo log has them, go into the service's own tables with their indexes,
and once more into a file that is flushed. Nothing is parsed, judged, looked up or hashed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from provisioner.admission.acceptance import Acceptance
from provisioner.admission.candidates import Candidate
from provisioner.journal.journal import Journal
from provisioner.recovery import redo_log
from provisioner.service import BATCH, Service
from provisioner.spool.spool import Submission
from tests.bench.figure import Figure, Run, Setting
from tests.bench.floors import Waiting
from tests.bench.place import fresh
from tests.bench.requests import fill, site

REQUESTS = 20_000
ROOM = 1 << 20
"""Bytes of a pipe between two processes: some batches, so that neither waits for the other."""


def served(top: Path, number: int) -> Service:
    """Return a service, and requests that wait for it."""
    system, spool = site(top)
    fill(spool.staging, number)
    service = Service(system, spool)
    service.recover()
    return service


def by_one(top: Path, number: int) -> float:
    """Return the seconds in which one thread accepts requests."""
    service = served(top, number)
    began = time.perf_counter()
    while service.take():
        pass
    return time.perf_counter() - began


def rows_alone(top: Path, number: int, log: Path) -> float:
    """Return the seconds for the same files and rows. log: the directory of a service's redo log
    that accepted as many."""
    [file] = redo_log.files(log)
    commits = [each.did for each in redo_log.read(log, file.journal, file.after)]
    lines = file.path.read_bytes().splitlines(keepends=True)[1:]
    waiting, path = Waiting(top, number), top / "floor.db"
    Journal.open(path).close()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    copy = os.open(top / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    began = time.perf_counter()
    for names, did, line in zip_longest(waiting.batches(BATCH), commits, lines):
        waiting.take(names or (), "active")
        database.execute("BEGIN IMMEDIATE")
        for sql, values in did or ():
            database.executemany(sql, values)
        os.write(copy, line or b"")
        os.fdatasync(copy)
        database.execute("COMMIT")
    took = time.perf_counter() - began
    os.close(copy)
    database.close()
    return took


def beside_rows(setting: Setting) -> Iterator[Run]:
    """Yield the microseconds of a request accepted by one thread, and of the floor."""
    number = setting.size(REQUESTS)
    while True:
        with fresh(setting.top) as top, fresh(setting.top) as other:
            value = by_one(top, number)
            floor = rows_alone(other, number, log_of(top))
        yield Run(value / number * 1e6, floor / number * 1e6)


def log_of(top: Path) -> Path:
    """Return the directory of the redo log below a site's."""
    return next(top.rglob("log-*.jsonl")).parent


# Several processes: a trial of what they would give, which the service does not do.


def reads_apart(top: Path, share: range, to: Connection, go: Event) -> None:
    """Take, read and judge a share of the files, and send what came of them."""
    system, spool = site(top)
    reader = Service(system, spool).intake._terms.reader
    to.send(None)
    go.wait()
    for start in range(share.start, share.stop, BATCH):
        names = [f"r{n:06}.yaml" for n in range(start, min(start + BATCH, share.stop))]
        taken = [file for name in names if isinstance(file := spool.take(name), Submission)]
        to.send([reader.first(file) for file in taken])
    to.send(None)


def by_several(readers: int, top: Path, number: int) -> float:
    """Return the seconds in which several processes take and judge, and this one accepts."""
    service = served(top, number)
    context, each = get_context("spawn"), -(-number // readers)
    go, going, processes = context.Event(), [], []
    for first in range(0, number, each):
        mine, theirs = context.Pipe(duplex=False)
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, ROOM)
        share = range(first, min(first + each, number))
        process = context.Process(target=reads_apart, args=(top, share, theirs, go), daemon=True)
        process.start()
        mine.recv()
        going.append(mine)
        processes.append(process)
    began = time.perf_counter()
    go.set()
    while going:
        for pipe in list(going):
            candidates: list[Candidate] | None = pipe.recv()
            if candidates is None:
                going.remove(pipe)
                continue
            accept(service, candidates)
    took = time.perf_counter() - began
    for process in processes:
        process.join()
    return took


def accept(service: Service, candidates: list[Candidate]) -> None:
    """Accept some requests in one commit, as the intake does."""
    terms = service.intake._terms
    with terms.book.transaction(new_work=True) as conn:
        acceptance = Acceptance(conn, time.time(), terms)
        terms.writers.keep(conn, [each.submission for each in candidates])
        acceptance.admit(candidates)


def committed(top: Path, number: int) -> float:
    """Return the seconds of the commits alone, as if reading and judging took none."""
    service = served(top, number)
    reader, spool, took = service.intake._terms.reader, service._spool, 0.0
    while names := spool.waiting(BATCH):
        taken = [file for name in names if isinstance(file := spool.take(name), Submission)]
        candidates = [reader.first(file) for file in taken]
        began = time.perf_counter()
        accept(service, candidates)
        took += time.perf_counter() - began
    return took


def beside_one(how: Callable[[Path, int], float], setting: Setting) -> Iterator[Run]:
    """Yield the microseconds of a request accepted in another way, and by one thread."""
    number = setting.size(REQUESTS)
    while True:
        with fresh(setting.top) as top:
            floor = by_one(top, number)
        with fresh(setting.top) as top:
            yield Run(how(top, number) / number * 1e6, floor / number * 1e6)


FIGURES = (
    Figure(
        "accepting",
        "20,000 requests wait: each accepted, while no lane runs and no file is written",
        "the same files renamed and read, the same rows in the same tables and in a log",
        "us",
        beside_rows,
    ),
    *(
        Figure(
            f"accepting-by-{readers + 1}",
            f"the same, where {readers} more processes take, read and judge: a trial",
            "one thread that does all of it",
            "us",
            partial(beside_one, partial(by_several, readers)),
            named=True,
        )
        for readers in (1, 2)
    ),
    Figure(
        "accepting-commits",
        "the commits alone, which wait for one another however many processes read",
        "one thread that does all of it",
        "us",
        partial(beside_one, committed),
        named=True,
    ),
)
