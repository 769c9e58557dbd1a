"""Dumps: copies of a journal in PostgreSQL, as files that `pg_dump` makes.

Promises: a copy is one state of the journal, made completely or not at all; `pg_restore` reads it.
No password is in the arguments of either. Leaves out: which copy is whose, and when one is made
(`recovery`), and the site's own archiving.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import psycopg

from provisioner.journal.postgresql.server import connected, patient
from provisioner.journal.stored import Check, Unreadable, readable
from provisioner.system.disks import flush

_SCHEMA = "SELECT quote_ident(current_schema())"
_FIRST = 4096
"""The most characters of a program's complaint that are repeated."""


def make(place: str, target: Path, check: Check) -> None:
    """Dump a journal into a new file, and flush it. Raises Unreadable, OSError."""
    with readable(psycopg.Error), connected(place) as conn:
        [(schema,)] = conn.execute(_SCHEMA).fetchall()
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    words = ["--format=custom", "--no-owner", "--no-privileges", f"--schema={schema}"]
    try:
        _run("pg_dump", [*words, f"--file={partial}", f"--dbname={patient(place)}"])
        check(partial)
        flush(partial)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    flush(target.parent)


class Dump:
    """A `journal.stored.Copy`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def position(self) -> tuple[str, int]:
        """Return its journal's id, and its position."""
        status = self._path.stat()
        return _position(self._path, status.st_mtime_ns, status.st_size)

    def newest_event(self) -> str | None:
        """Return the hash of the newest event."""
        newest: tuple[int, str] | None = None
        for row in _rows(self._path, "events"):
            found = int(row["seq"]), row["hash"]
            newest = found if newest is None else max(newest, found)
        return None if newest is None else newest[1]

    def damage(self) -> str:
        """Read it through."""
        _run("pg_restore", ["--file=/dev/null", str(self._path)])
        return ""


@lru_cache(maxsize=1024)
def _position(path: Path, _changed: int, _size: int) -> tuple[str, int]:
    marks = {row["name"]: row["value"] for row in _rows(path, "marks")}
    return marks["journal"], int(marks["position"])


def _rows(path: Path, table: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table whose cells have no characters that COPY escapes."""
    words = ["--data-only", f"--table={table}", "--file=-", str(path)]
    names: list[str] = []
    with _running("pg_restore", words) as lines:
        for line in lines:
            text = line.rstrip("\n")
            if text.startswith("COPY "):
                listed = text.partition("(")[2].partition(")")[0]
                names = [name.strip().strip('"') for name in listed.split(",")]
            elif text == r"\.":
                names = []
            elif names:
                yield dict(zip(names, text.split("\t"), strict=True))


def _run(program: str, words: Sequence[str]) -> None:
    with _running(program, words) as lines:
        for _ in lines:
            pass


@contextmanager
def _running(program: str, words: Sequence[str]) -> Iterator[Iterator[str]]:
    """Give the lines that a program writes. Raises Unreadable if it fails, or is not there."""
    try:
        process = subprocess.Popen(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise Unreadable(f"{program} is not installed: apt install postgresql-client") from None
    assert process.stdout is not None
    said: list[str] = []

    def lines(stream: Iterator[str]) -> Iterator[str]:
        for line in stream:
            if line.startswith(f"{program}:"):
                said.append(line)
            yield line

    with process:
        yield lines(process.stdout)
    if process.returncode:
        raise Unreadable(" ".join("".join(said).split())[:_FIRST] or f"{program} failed")
