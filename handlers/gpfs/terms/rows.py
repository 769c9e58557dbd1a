"""`-Y` output of the mm commands: lines of values under a header that names them.

Promises: the parser returns only complete rows. For rows that run into one another, rows and
headers that were cut, and rows with one value too few or too many, it raises an error with the
line, so that nothing is decided from them; it invents no value. Pure.
Leaves out: what a command's values mean (`listing`, `usage`), and rows that are missing
altogether, which one output alone cannot show.

The layout, as in public fixtures: `cmd:section:HEADER:version:reserved:reserved:NAME:...:`,
then `cmd:section:0:1:::VALUE:...:`, with `%` and `:` encoded inside a value. Either line may lack
the last colon; lines may be indented; titles (`*** Report for FILESET quotas on fs1`) and empty
lines may come between.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

Record = Mapping[str, str]
"""One row: decoded values by the names of the header. A short row lacks the last names."""

_BEFORE = 6
"""Fields before the values: command, section, kind of line, version, and two reserved fields."""

_A_PIECE = 8
"""With this many colons, a line that does not begin with a command is part of a row, not text."""


class Unreadable(ValueError):
    """Output that cannot be trusted: why, and the line."""

    def __init__(self, why: str, line: str = "") -> None:
        shown = line if len(line) <= 400 else f"{line[:400]}..."
        super().__init__(f"{why}: {shown!r}" if line else why)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a row of a command must have. needed: names whose values the service reads; whole: True
    if no release has shown a row with fewer values than names."""

    command: str
    needed: Collection[str] = ()
    whole: bool = False
    section: str = ""
    _start: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        begins = rf"{re.escape(self.command)}:[^:\s]*:(?:HEADER:|\d+:\d+:)"
        object.__setattr__(self, "_start", re.compile(begins))

    def read(self, text: str) -> list[Record]:
        """Return the rows of the layout's section, or of all sections if it names none.

        Raises Unreadable for output without a header, and for each incomplete row.
        """
        headers: dict[str, list[str]] = {}
        records: list[Record] = []
        # Not splitlines: it would also split a comment at U+2028 and at other separators.
        for raw in text.split("\n"):
            line = raw.strip(" \t\r")
            if not self._begins(line):
                continue
            fields, closed = _fields(line)
            if fields[2] == "HEADER":
                headers[fields[1]] = self._header(fields[_BEFORE:], line)
            elif fields[1] not in headers:
                raise Unreadable("a row without a header before it", line)
            else:
                record = self._record(headers[fields[1]], fields[_BEFORE:], closed, line)
                if not self.section or fields[1] == self.section:
                    records.append(record)
        if not headers:
            said = " ".join(text.split())[:400]
            raise Unreadable(f"no header of {self.command} in its output", said)
        return records

    def _begins(self, line: str) -> bool:
        """Return True if a line is a header or a row. Raises Unreadable if it is more or less than
        one."""
        starts = [match.start() for match in self._start.finditer(line)]
        if starts == [0]:
            return True
        if len(starts) > 1:
            raise Unreadable("two rows in one line", line)
        if starts:
            raise Unreadable("a row that does not begin its line", line)
        cut = bool(line) and self.command.startswith(line)
        if cut or line.startswith(f"{self.command}:") or line.count(":") >= _A_PIECE:
            raise Unreadable("a piece of a row", line)
        return False

    def _header(self, names: list[str], line: str) -> list[str]:
        if lacking := sorted(name for name in self.needed if names.count(name) != 1):
            raise Unreadable(f"a header that does not name {', '.join(lacking)} once", line)
        return names

    def _record(
        self, names: Sequence[str], values: Sequence[str], closed: bool, line: str
    ) -> Record:
        short = self.whole and len(values) < len(names)
        # A value without a colon after it may continue in the part that was cut off.
        sure = len(values) if closed else len(values) - 1
        if short or any(names.index(name) >= sure for name in self.needed):
            raise Unreadable(f"a row that ends after {len(values)} of {len(names)} values", line)
        beyond = values[len(names) :]
        # Rows of 98 and 104 fields under a header of 92 are a release's own: `-` in each but the
        # last of them, `default`.
        if any(value not in ("-", "") for value in beyond[:-1]):
            raise Unreadable(f"a row of {len(values)} values under {len(names)} names", line)
        return {n: unquote(v) for n, v in zip(names, values, strict=False) if n}


def _fields(line: str) -> tuple[list[str], bool]:
    """Split a line at its colons, without the last one; also return whether that one was there."""
    fields = line.split(":")
    closed = fields[-1] == "" and len(fields) > _BEFORE
    return (fields[:-1] if closed else fields), closed


def number(record: Record, name: str) -> int:
    """Return a value that must be a whole number; usage may be below 0. Raises Unreadable."""
    value = record.get(name, "")
    if not re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
        raise Unreadable(f"{name} is {value!r}, not a number")
    return int(value)


def count(record: Record, name: str) -> int:
    """Return a number that is never below 0. Raises Unreadable."""
    value = number(record, name)
    if value < 0:
        raise Unreadable(f"{name} is {value}")
    return value
