"""The redo log: what every transaction wrote to the journal, statement by statement.

Promises: a transaction that was appended is on disk, whole, or the next one that is read has its
number; a record that was torn by a crash is told from a whole one by its checksum, and ends its
file. Together with a copy of the journal the log gives the journal anew, with accepted bytes,
approvals, outcomes and the chain of events as they were. Leaves out: copies (`backup`), and making
the new journal (`rebuild`).

A file is lines: a checksum (CRC-32, hexadecimal), a blank, JSON. The first says whose log it is,
every other is a transaction: `n` its number, `at` its time, `new` the SQL of statements that the
file did not have before, `did` what was run: the statement's number, and its rows.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.contract import ConfigError
from provisioner.recovery.lineage import File, Lineage, trace

FORMAT = 1
LEFT = ".left"
"""Ends the name of a file that a rebuild took out of the log."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def _plain(value: object) -> dict[str, str]:
    """Write bytes so that a person can read them, where they are text."""
    assert isinstance(value, bytes | memoryview)
    body = bytes(value)
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain).encode


class RedoLog:
    """The log of one journal, to be written. A file is begun when there is something to write."""

    def __init__(self, directory: Path, journal: str, version: int) -> None:
        """journal: its id; version: that of its tables."""
        self.directory = directory
        self._journal = journal
        self._version = version
        self._file: int | None = None
        self._known: dict[str, int] = {}
        self._path = directory
        self._before = 0

    def append(self, number: int, did: Sequence[tuple[str, Any]]) -> None:
        """Add a transaction's statements, and flush.

        Raises OSError naming the file, in which there is then nothing whole of it.
        """
        if self._file is None:
            self._begin(number - 1)
        new: list[str] = []
        done = []
        for sql, rows in did:
            known = self._known.get(sql)
            if known is None:
                known = self._known[sql] = len(self._known)
                new.append(sql)
            done.append((known, rows if isinstance(rows, list) else [rows]))
        assert self._file is not None
        self._before = os.fstat(self._file).st_size
        try:
            self._write({"n": number, "at": time.time(), "new": new, "did": done})
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._before)  # a full disk needs the room
            self.rotate()  # else what is torn is the end of its file
            raise

    def take_back(self) -> None:
        """Remove the transaction that was appended last: its commit failed, and nobody knows it.

        Raises OSError naming the file, which may have it then.
        """
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._before)
            os.fdatasync(self._file)
        except OSError as error:
            raise _named(error, self._path) from error
        finally:
            self.rotate()  # a statement that stood there alone is not known any more

    def rotate(self) -> None:
        """Go on in a new file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._known = {}

    def _begin(self, after: int) -> None:
        self._path = self.directory / f"log-{after:012}-{time.time_ns()}.jsonl"
        try:
            self._file = os.open(self._path, _CREATE, 0o600)
            head = {
                "format": FORMAT,
                "journal": self._journal,
                "version": self._version,
                "after": after,
            }
            self._write(head)
            directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            self.rotate()
            raise _named(error, self._path) from error

    def _write(self, value: Any) -> None:
        assert self._file is not None
        text = _encode(value).encode("ascii")
        rest = memoryview(b"%08x %s\n" % (zlib.crc32(text), text))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError as error:
            raise _named(error, self._path) from error


def _named(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror, str(path))


# Reading.


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction wrote, and the version of the tables it was for."""

    number: int
    at: float
    version: int
    did: tuple[tuple[str, list[list[Any]]], ...]


def files(directory: Path, journal: str | None = None) -> list[File]:
    """List the files of a log in their order; journal: only those of the one with that id.

    A file whose first line was torn has nothing else, and is left out.
    """
    found = []
    for path in sorted(directory.glob("log-*.jsonl")):
        head = next(_lines(path), None)
        if head is not None and head.get("format", FORMAT) != FORMAT:
            raise ConfigError(f"{path} has a newer format", advice="use the program that wrote it")
        if head is not None and journal in (None, head["journal"]):
            begun = path.stem.rpartition("-")[2]
            found.append(
                File(
                    path,
                    head["journal"],
                    head["version"],
                    head["after"],
                    _last(path, head["after"]),
                    int(begun) if begun.isdigit() else 0,
                )
            )
    return found


def read(directory: Path, journal: str, after: int) -> Iterator[Transaction]:
    """Give the transactions of the line after a number, in their order and without a gap."""
    return along(trace(files(directory, journal)), after)


def along(lineage: Lineage, after: int) -> Iterator[Transaction]:
    """Give the transactions of a line after a number, in their order and without a gap.

    Where there is a gap, what comes behind it is left out: it may need what is missing.
    """
    last = after
    for file, end in zip(lineage.line, lineage.limits(), strict=True):
        if file.last <= after:
            continue
        for one in _transactions(file):
            if last < one.number <= end:
                if one.number > last + 1:
                    return
                yield one
                last = one.number


def do_again(db: sqlite3.Connection, one: Transaction) -> None:
    """Run the statements of a transaction on a database, and move its position there."""
    for sql, rows in one.did:
        db.executemany(sql, rows)
    db.execute("UPDATE marks SET value = ? WHERE name = 'position'", [str(one.number)])


def tells(files: Iterable[File], text: str) -> bool:
    """Return True if some text stands in one of some files."""
    wanted = text.encode()
    for file in files:
        with file.path.open("rb") as stream:
            if any(wanted in line for line in stream):
                return True
    return False


def leave(file: File, through: int) -> Path:
    """Take what a file has after a number out of the log; return where the whole file is kept."""
    aside = file.path.with_name(f"{file.path.name}{LEFT}")
    shorter = file.path.with_name(f".{file.path.name}")
    kept = [line for line in _intact(file.path) if line[1].get("n", file.after) <= through]
    if len(kept) > 1:
        shorter.write_bytes(b"".join(text for text, _ in kept))
        shorter.chmod(0o600)
        _flush(shorter)
    file.path.rename(aside)
    if len(kept) > 1:
        shorter.rename(file.path)
    _flush(file.path.parent)
    return aside


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _transactions(file: File) -> Iterator[Transaction]:
    """Give the transactions of a file; of two with one number the later one."""
    statements: list[str] = []
    before: Transaction | None = None
    lines = _lines(file.path)
    next(lines, None)
    for line in lines:
        if "n" not in line:
            break  # a file that was copied behind itself: what follows was told before
        statements += line["new"]
        did = tuple(
            (statements[number], [[_value(value) for value in row] for row in rows])
            for number, rows in line["did"]
        )
        if before is not None and before.number < line["n"]:
            yield before
        before = Transaction(line["n"], line["at"], file.version, did)
    if before is not None:
        yield before


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Give the whole lines of a file, up to the first that is not."""
    with path.open("rb") as stream:
        for line in stream:
            value = _parsed(line)
            if value is None:
                return
            yield value


def _intact(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Give each whole line of a file, also behind one that is not, as it stands and as it reads."""
    with path.open("rb") as stream:
        for line in stream:
            value = _parsed(line)
            if value is not None:
                yield line, value


def _parsed(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    value: dict[str, Any] = json.loads(text)
    return value


def _last(path: Path, after: int) -> int:
    """Return the highest number in a file, also where lines before it are spoilt.

    after: the number where it has none.
    """
    end = _parsed(_end(path))
    if end is not None:
        return int(end.get("n", after))
    return max((int(line.get("n", after)) for _, line in _intact(path)), default=after)


def _end(path: Path) -> bytes:
    """Return the last line of a file without reading what is before."""
    size, block = path.stat().st_size, 65536
    with path.open("rb") as stream:
        while True:
            stream.seek(max(0, size - block))
            found = stream.read()
            cut = found.rfind(b"\n", 0, max(0, len(found) - 1))
            if cut >= 0 or block >= size:
                return found[cut + 1 :]
            block *= 8
