"""Accepting alone: no lane runs, no file is written; beside the same calls and the same rows.

The floor is what no other program could leave out: each file is renamed and read, and each commit's
statements, as the service's redo log has them, go into the service's own tables with their indexes,
and once more into a file that is flushed. Nothing is parsed, judged, looked up or hashed. All is
the time of one processor, which hardly depends on what else runs.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path

from provisioner.admission.acceptance import Acceptance
from provisioner.journal.journal import Journal
from provisioner.recovery import redo_log
from provisioner.service import BATCH, Service
from provisioner.spool.spool import Submission
from tests.bench.figure import Figure, Run, Setting
from tests.bench.floors import Waiting
from tests.bench.place import fresh
from tests.bench.requests import fill, site

REQUESTS = 20_000
ALONE = 2_000


def served(top: Path, number: int) -> Service:
    """Return a service, and requests that wait for it."""
    system, spool = site(top)
    fill(spool.staging, number)
    service = Service(system, spool)
    service.recover()
    return service


def by_one(top: Path, number: int, at_once: int) -> float:
    """Return the seconds in which one thread accepts requests. at_once: how many come together."""
    service, took = served(top, 0), 0.0
    for first in range(0, number, at_once):
        fill(top / "spool/staging", min(at_once, number - first), first)
        began = time.process_time()
        while service.take() >= BATCH:
            pass
        took += time.process_time() - began
    return took


def rows_alone(top: Path, number: int, batch: int, log: Path) -> float:
    """Return the seconds for the same files and rows. batch: the most of a commit; log: the
    directory of a service's redo log that accepted as many."""
    [file] = redo_log.files(log)
    commits = [each.did for each in redo_log.read(log, file.journal, file.after)]
    lines = file.path.read_bytes().splitlines(keepends=True)[1:]
    waiting, path = Waiting(top, number), top / "floor.db"
    Journal.open(path).close()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    copy = os.open(top / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    began = time.process_time()
    for names, did, line in zip_longest(waiting.batches(batch), commits, lines):
        waiting.take(names or (), "active")
        database.execute("BEGIN IMMEDIATE")
        for sql, values in did or ():
            database.executemany(sql, values)
        os.write(copy, line or b"")
        os.fdatasync(copy)
        database.execute("COMMIT")
    took = time.process_time() - began
    os.close(copy)
    database.close()
    return took


def beside_rows(whole: int, at_once: int, setting: Setting) -> Iterator[Run]:
    """Yield the microseconds of a request accepted by one thread, and of the floor."""
    number = setting.size(whole)
    while True:
        with fresh(setting.top) as top, fresh(setting.top) as other:
            value = by_one(top, number, at_once)
            floor = rows_alone(other, number, min(at_once, BATCH), log_of(top))
        yield Run(value / number * 1e6, floor / number * 1e6)


def log_of(top: Path) -> Path:
    """Return the directory of the redo log below a site's."""
    return next(top.rglob("log-*.jsonl")).parent


# What several processes would give: what of a request stays in one of them.


def commits(top: Path, number: int, *, sent: bool) -> float:
    """Return the seconds of the commits alone, which wait for one another in any process.

    sent: with the requests read from what another process sends, which took and judged them.
    """
    service = served(top, number)
    terms, spool, took = service.intake._terms, service._spool, 0.0
    while names := spool.waiting(BATCH):
        taken = [file for name in names if isinstance(file := spool.take(name), Submission)]
        candidates = [terms.reader.first(file) for file in taken]
        content = pickle.dumps(candidates)
        began = time.process_time()
        candidates = pickle.loads(content) if sent else candidates
        with terms.book.transaction(new_work=True) as conn:
            acceptance = Acceptance(conn, terms)
            terms.writers.keep(conn, [each.submission for each in candidates])
            acceptance.admit(candidates)
        took += time.process_time() - began
    return took


def beside_all(setting: Setting, *, sent: bool) -> Iterator[Run]:
    """Yield the microseconds of a request's share of a commit, and of all that accepts it."""
    number = setting.size(REQUESTS)
    while True:
        with fresh(setting.top) as top:
            floor = by_one(top, number, number)
        with fresh(setting.top) as top:
            yield Run(commits(top, number, sent=sent) / number * 1e6, floor / number * 1e6)


FIGURES = (
    Figure(
        "accepting",
        "20,000 requests wait: each accepted, while no lane runs and no file is written",
        "the same files renamed and read, the same rows in the same tables and in a log",
        "us",
        partial(beside_rows, REQUESTS, REQUESTS),
    ),
    Figure(
        "accepting-alone",
        "2,000 requests come one by one: each accepted, while no lane runs and no file is written",
        "the same files renamed and read, the same rows in the same tables and in a log",
        "us",
        partial(beside_rows, ALONE, 1),
    ),
    Figure(
        "accepting-commits",
        "the commits alone: what stays if several processes accept, as SQLite has one writer",
        "one process that does all",
        "us",
        partial(beside_all, sent=False),
    ),
    Figure(
        "accepting-sent",
        "the same, and what other processes took, read and judged is received",
        "one process that does all",
        "us",
        partial(beside_all, sent=True),
    ),
)
