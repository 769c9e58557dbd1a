"""Floors: what minimal programs take for the same files and rows, without the service.

A request is renamed from one directory into another; its rows go into tables of SQLite, with a
commit for each batch, flushed as the journal's are; a result and a receipt are files of their own.
The numbers and sizes of rows are those of the bench's requests, and fixed: a figure of another
release is beside the same floor.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from provisioner.spool.spool import Spool
from tests.bench.requests import body, fill

STATE = (
    ("requests", 1, 400),
    ("steps", 1, 120),
    ("step_objects", 1, 120),
    ("claims", 1, 120),
    ("objects", 1, 130),
)
DONE = (*STATE, ("events", 4, 300))
"""Tables, how many rows of each a request has when it is over, and their sizes in bytes."""
ACCEPTED = (*STATE, ("events", 1, 300))
"""The same when a request has just been accepted."""
RESULT = b"r" * 600
RECEIPT = b"r" * 200
BATCH = 500
"""Requests of a commit."""
Rows = Sequence[tuple[str, int, int]]
Clock = Callable[[], float]


def database(path: Path, rows: Rows) -> sqlite3.Connection:
    """Make a database with tables of three columns."""
    made = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA synchronous=FULL")
    for table, _, _ in rows:
        made.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, request TEXT, body TEXT)")
    return made


def insert(
    to: sqlite3.Connection, rows: Rows, names: Sequence[str], log: int | None = None
) -> None:
    """Insert the rows of some requests, in a transaction of their own.

    log: a file that gets as many bytes before the commit, flushed.
    """
    to.execute("BEGIN")
    for table, number, size in rows:
        body = "x" * size
        each = ((name, body) for name in names for _ in range(number))
        to.executemany(f"INSERT INTO {table} (request, body) VALUES (?, ?)", each)
    if log is not None:
        os.write(log, b"x" * len(names) * sum(number * size for _, number, size in rows))
        os.fdatasync(log)
    to.execute("COMMIT")


def create(path: str, content: bytes) -> None:
    """Create a file."""
    made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    os.write(made, content)
    os.close(made)


class Waiting:
    """Requests that wait in a spool's staging, as they do for the service."""

    def __init__(self, top: Path, number: int) -> None:
        self.root = top / "spool"
        Spool.create(self.root).close()
        fill(self.root / "staging", number)
        self.names = sorted(path.name for path in (self.root / "staging").iterdir())

    def batches(self, size: int) -> Iterator[Sequence[str]]:
        """Yield their names."""
        for start in range(0, len(self.names), size):
            yield self.names[start : start + size]

    def take(self, names: Sequence[str], into: str) -> None:
        """Rename and read some. into: a directory of the spool."""
        source = os.open(self.root / "staging", os.O_RDONLY)
        target = os.open(self.root / into, os.O_RDONLY)
        for name in names:
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
            file = os.open(name, os.O_RDONLY, dir_fd=target)
            os.read(file, 4096)
            os.close(file)
        os.close(source)
        os.close(target)


def engine(top: Path, number: int, clock: Clock, *, files: bool) -> float:
    """Return requests a second: each renamed, read and recorded.

    clock: tells the seconds; files: with its two files.
    """
    waiting, journal = Waiting(top, number), database(top / "floor.db", DONE)
    began = clock()
    for names in waiting.batches(BATCH):
        waiting.take(names, "done")
        insert(journal, DONE, names)
        if files:
            two(waiting.root, names)
    took = clock() - began
    journal.close()
    return number / took


def two(root: Path, names: Sequence[str]) -> None:
    """Create a result and a receipt for each of some requests."""
    for name in names:
        create(f"{root}/done/{name}.result", RESULT)
        create(f"{root}/receipts/{name}", RECEIPT)


def two_files(top: Path, number: int, clock: Clock) -> float:
    """Return requests a second where each is no more than two new files. clock: tells the
    seconds."""
    root = top / "spool"
    Spool.create(root).close()
    names = [f"r{each:06}.yaml" for each in range(number)]
    began = clock()
    two(root, names)
    return number / (clock() - began)


def accept(top: Path, number: int, batch: int = BATCH) -> list[float]:
    """Return the seconds of each batch of waiting requests, to be renamed, read and recorded."""
    waiting, journal = Waiting(top, number), database(top / "floor.db", ACCEPTED)
    took = []
    for names in waiting.batches(batch):
        began = time.perf_counter()
        waiting.take(names, "active")
        insert(journal, ACCEPTED, names)
        took.append(time.perf_counter() - began)
    journal.close()
    return took


def write(top: Path, number: int) -> list[float]:
    """Return the seconds of each of some requests to be written: flushed, and so is its name."""
    directory, took = os.open(top, os.O_RDONLY), []
    for each in range(number):
        began = time.perf_counter()
        name = f"r{each:06}"
        made = os.open(f".{name}", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=directory)
        os.write(made, body(each))
        os.fsync(made)
        os.close(made)
        os.rename(f".{name}", name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
        took.append(time.perf_counter() - began)
    os.close(directory)
    return took
