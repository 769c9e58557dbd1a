"""The redo log: everything that transactions wrote to the journal, statement by statement.

Promises: a transaction that was appended is on disk completely, or the next one in the log gets its
number. A checksum reveals a record that a crash cut off, which ends its file. A copy of the journal
and the log give the journal again, with the same accepted bytes, approvals, outcomes and chain of
events. Leaves out: copies (`backup`), and making the new journal (`rebuild`).

A file consists of lines: a checksum (CRC-32, hexadecimal), a blank, JSON. The first line says whose
log it is. Every other line is a transaction: `n` is its number, `at` its time, `new` the SQL of
statements that the file did not have before, `did` what was run: the statement's number, and its
rows.
"""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.contract import ConfigError
from provisioner.recovery.lineage import FORMER, File, Lineage, trace
from provisioner.system.disks import flush

FORMAT = 1
LEFT = ".left"
"""The end of the name of a file that a rebuild took out of the log."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def _plain(value: object) -> dict[str, str]:
    """Encode bytes so that a person can read them, if they are text."""
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
    """Writes the log of one journal. A file begins with the first transaction that goes into it."""

    def __init__(self, directory: Path, journal: str, version: int, database: str) -> None:
        """journal: its id; version: that of its tables; database: whose SQL it runs."""
        self.directory = directory
        self._journal = journal
        self._version = version
        self._database = database
        self._file: int | None = None
        self._known: dict[str, int] = {}
        self._path = directory
        self._before = 0

    def append(self, number: int, did: Sequence[tuple[str, Any]]) -> None:
        """Append a transaction's statements, and flush.

        Raises OSError with the file's name; the file then has no complete record of it.
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
            self.rotate()  # else the torn record would not be the end of its file
            raise

    def take_back(self) -> None:
        """Remove the last transaction: its commit failed, and nobody knows of it.

        Raises OSError with the file's name; the file may still have the transaction then.
        """
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._before)
            os.fdatasync(self._file)
        except OSError as error:
            raise _named(error, self._path) from error
        finally:
            self.rotate()  # a statement that only that record had is no longer known

    def rotate(self) -> None:
        """Continue in a new file."""
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
                "database": self._database,
                "after": after,
            }
            self._write(head)
            flush(self.directory)
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
    """What one transaction wrote, and the version of the tables."""

    number: int
    at: float
    version: int
    did: tuple[tuple[str, list[list[Any]]], ...]


def files(directory: Path, journal: str | None = None) -> list[File]:
    """List the files of a log in order. journal: only those of the journal with that id.

    A file whose first line was cut off has no other line, and is left out.
    """
    listed = []
    for path in sorted(directory.glob("log-*.jsonl")):
        with suppress(FileNotFoundError):  # another process has removed it
            file = _opened(path, journal)
            if file is not None:
                listed.append(file)
    return listed


def _opened(path: Path, journal: str | None) -> File | None:
    """Return a file as its ends describe it; None if its first line is cut, lost, or names another
    journal."""
    head = next(_lines(path), None)
    if head is None or journal not in (None, head.get("journal", journal)):
        return None
    if head.get("format", FORMAT) != FORMAT:
        raise ConfigError(f"{path} has a newer format", advice="use the program that wrote it")
    if "journal" not in head:  # it is a transaction
        return None
    begun = path.stem.rpartition("-")[2]
    return File(
        path,
        head["journal"],
        head["version"],
        head["after"],
        _last(path, head["after"]),
        int(begun) if begun.isdigit() else 0,
        head.get("database", FORMER),
    )


def read(directory: Path, journal: str, after: int) -> Iterator[Transaction]:
    """Yield the transactions of the line after a number, in order and without a gap."""
    return along(trace(files(directory, journal)), after)


def along(lineage: Lineage, after: int) -> Iterator[Transaction]:
    """Yield the transactions of a line after a number, in order and without a gap.

    It ends at a gap, because later transactions may need the missing ones.
    """
    last = after
    for file, end in zip(lineage.line, lineage.limits(), strict=True):
        if file.last <= after:
            continue
        for transaction in _transactions(file):
            if last < transaction.number <= end:
                if transaction.number > last + 1:
                    return
                yield transaction
                last = transaction.number


def contains(files: Iterable[File], text: str) -> bool:
    """Return True if one of some files contains a text."""
    wanted = text.encode()
    for file in files:
        with file.path.open("rb") as stream:
            if any(wanted in line for line in stream):
                return True
    return False


def leave(file: File, through: int) -> Path:
    """Move what a file has after a number out of the log; return where the whole file is kept."""
    aside = file.path.with_name(f"{file.path.name}{LEFT}")
    shorter = file.path.with_name(f".{file.path.name}")
    kept = [line for line in _intact(file.path) if line[1].get("n", file.after) <= through]
    if len(kept) > 1:
        shorter.write_bytes(b"".join(text for text, _ in kept))
        shorter.chmod(0o600)
        flush(shorter)
    file.path.rename(aside)
    if len(kept) > 1:
        shorter.rename(file.path)
    flush(file.path.parent)
    return aside


def _transactions(file: File) -> Iterator[Transaction]:
    """Yield the transactions of a file up to a gap; of two with the same number, the later one."""
    statements: list[str] = []
    before: Transaction | None = None
    lines = _lines(file.path)
    next(lines, None)
    for line in lines:
        if "n" not in line:
            break  # a copy of the file was appended to it: the rest has been read already
        if line["n"] > (file.after if before is None else before.number) + 1:
            break  # later lines may run statements that only a lost line has
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
    """Yield the intact lines of a file, up to the first damaged one."""
    with path.open("rb") as stream:
        for line in stream:
            value = _parsed(line)
            if value is None:
                return
            yield value


def _intact(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each intact line of a file, even after damaged ones, as bytes and as JSON."""
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
    """Return the highest number in a file, even if lines before it are damaged.

    after: the result if the file has no number.
    """
    end = _parsed(_end(path))
    if end is not None:
        return int(end.get("n", after))
    return max((int(line.get("n", after)) for _, line in _intact(path)), default=after)


def _end(path: Path) -> bytes:
    """Return the last line of a file without reading what is before it."""
    size, block = path.stat().st_size, 65536
    with path.open("rb") as stream:
        while True:
            stream.seek(max(0, size - block))
            tail = stream.read()
            cut = tail.rfind(b"\n", 0, max(0, len(tail) - 1))
            if cut >= 0 or block >= size:
                return tail[cut + 1 :]
            block *= 8
