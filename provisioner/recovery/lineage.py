"""The lineage of a journal: which files of its redo log lead to it, and which branch off.

Promises: files that were written one after the other are one line, whatever the clock said; a file
that was begun by a journal which was behind is told as a branch, with what came of it. Pure.
Leaves out: reading and writing files (`redo_log`).

A file begins at the number of the last transaction that its journal had. The log is flushed before
the database commits, so the file before it may have one transaction more, which was never
committed; two more, and the journal that began the new file lacked one that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """One file of a log: whose it is, and the numbers after which it begins and with which it ends.

    version: that of the tables; begun: when, in nanoseconds since the epoch.
    """

    path: Path
    journal: str
    version: int
    after: int
    last: int
    begun: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """The line of a log, in its order, and the branches off it, each in its order."""

    line: tuple[File, ...]
    branches: tuple[tuple[File, ...], ...] = ()

    @property
    def last(self) -> int:
        """Return the number of the last transaction of the line; 0 where it has none."""
        return max((file.last for file in self.line[-1:]), default=0)

    @property
    def fork(self) -> int:
        """Return the number up to which the line and all branches are one."""
        return min((branch[0].after for branch in self.branches), default=self.last)

    def along(self, branch: Sequence[File]) -> Lineage:
        """Take a branch for the line, and what the line has beyond it for a branch."""
        fork = branch[0].after
        stem = tuple(file for file in self.line if file.after < fork)
        beyond = self.line[len(stem) - 1 :] if stem else self.line
        others = tuple(other for other in self.branches if other != tuple(branch))
        return Lineage((*stem, *branch), (*((beyond,) if beyond else ()), *others))

    def limits(self) -> list[int]:
        """Say up to which number each file of the line counts: where a later one begins."""
        found: list[int] = []
        limit = self.last
        for file in reversed(self.line):
            found.append(limit)
            limit = min(limit, file.after)
        return found[::-1]

    def covers(self, after: int, position: int) -> bool:
        """Return True if the line has each transaction from behind one number to another."""
        reached = after
        for file in self.line:
            if file.after <= reached:
                reached = max(reached, file.last)
        return reached >= position


def trace(files: Iterable[File]) -> Lineage:
    """Put the files of one journal's log into their order."""
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
    """Find the line that a file goes on; None: it branches off, or is the first.

    One that ends where the file begins goes before one with a transaction that was not committed,
    and that before one that ends with a gap; of several the one that was written last.
    """
    beyond = [line[-1].last - file.after for line in lines]
    gap = min(beyond, default=0)
    for wanted in (0, 1) if max(beyond, default=0) > 0 else (0, gap):
        found = [line for line, over in zip(lines, beyond, strict=True) if over == wanted]
        if found:
            return max(found, key=lambda line: (line[-1].begun <= file.begun, line[-1].begun))
    return None
