"""The lineage of a journal: which files of its redo log lead to it, and which branch off.

Promises: pure. Files that were written one after the other are one line, whatever the clock said. A
file that an older journal began is a branch, together with the files after it. Leaves out: reading
and writing files (`redo_log`).

The first line of a file has the number of the last transaction in its journal. The log is flushed
before the database commits. So the file before it may have one more transaction, which was never
committed. With two more, the journal that began the new file lacked a committed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FORMER = "sqlite"
"""The database of a log whose first line does not say: earlier versions knew one."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a log: its journal, the number after which it begins, and its last number.

    version: that of the tables; begun: when, in nanoseconds since the epoch; database: whose SQL it
    has.
    """

    path: Path
    journal: str
    version: int
    after: int
    last: int
    begun: int
    database: str = FORMER


@dataclass(frozen=True, slots=True)
class Lineage:
    """The line of a log and the branches off it, each in order."""

    line: tuple[File, ...]
    branches: tuple[tuple[File, ...], ...] = ()

    @property
    def last(self) -> int:
        """The number of the last transaction of the line; 0 if it has none."""
        return max((file.last for file in self.line[-1:]), default=0)

    @property
    def fork(self) -> int:
        """The number up to which the line and all branches are the same."""
        return min((branch[0].after for branch in self.branches), default=self.last)

    def along(self, branch: Sequence[File]) -> Lineage:
        """Return the lineage with a branch as its line, and the rest of the line as a branch."""
        fork = branch[0].after
        stem = tuple(file for file in self.line if file.after < fork)
        beyond = self.line[len(stem) - 1 :] if stem else self.line
        others = tuple(other for other in self.branches if other != tuple(branch))
        return Lineage((*stem, *branch), (*((beyond,) if beyond else ()), *others))

    def limits(self) -> list[int]:
        """Return the number up to which each file of the line counts: where a later one begins."""
        limits: list[int] = []
        limit = self.last
        for file in reversed(self.line):
            limits.append(limit)
            limit = min(limit, file.after)
        return limits[::-1]

    def covers(self, after: int, position: int) -> bool:
        """Return True if the line has each transaction after one number, up to another."""
        reached = after
        for file in self.line:
            if file.after <= reached:
                reached = max(reached, file.last)
        return reached >= position


def trace(files: Iterable[File]) -> Lineage:
    """Put the files of one journal's log in order."""
    lines: list[list[File]] = []
    for file in sorted(files, key=lambda file: (file.after, file.begun)):
        if file.last == file.after:
            continue  # it has no transaction
        line = _goes_on(lines, file)
        if line is None:
            lines.append([file])
        else:
            line.append(file)
    return Lineage(tuple(lines[0]), tuple(map(tuple, lines[1:]))) if lines else Lineage(())


def _goes_on(lines: Sequence[list[File]], file: File) -> list[File] | None:
    """Return the line that a file continues; None if it branches off, or is the first.

    Of several, a line that ends where the file begins comes first. Then comes one with a single
    transaction more, which was not committed, and then one that ends with a gap; among equals, the
    last one written.
    """
    beyond = [line[-1].last - file.after for line in lines]
    gap = min(beyond, default=0)
    for wanted in (0, 1) if max(beyond, default=0) > 0 else (0, gap):
        found = [line for line, over in zip(lines, beyond, strict=True) if over == wanted]
        if found:
            return max(found, key=lambda line: (line[-1].begun <= file.begun, line[-1].begun))
    return None
