"""Places: where in a document something is, for programs and as people write it, and what is wrong
there.

Promises: pure; a place that was written is read back as the same one. A file of any size has a
limited number of mistakes: each repeats the keys above it and the names that would be right, so
that all those of a hostile file would take hundreds of times its bytes. Leaves out: finding them
(`documents`, `request`, `router`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]

_PART = re.compile(r"\[(\d+)\]")


def dotted(path: Path) -> str:
    """Return a path as people write it: `allocation.users[2]` is the second entry of the list."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def path_of(key: str) -> Path:
    """Return the path of a key as `dotted` writes it, or with `users.1` for the second entry."""
    parts = _PART.sub(lambda found: f".{int(found[1]) - 1}", key).split(".") if key else ()
    return tuple(int(part) if part.isdigit() else part for part in parts)


MOST = 200
"""The most mistakes of a file that are told: more would mostly repeat the same one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: place, message, what was expected, and the nearest valid name.

    highest: the order number that was accepted before, if the request's own is lower.
    """

    line: int | None
    key: str
    message: str
    expected: str = ""
    nearest: str = ""
    highest: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        key = f"{self.key}: " if self.key else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        nearest = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{where}{key}{self.message}{expected}{nearest}"


MORE = Problem(None, "", f"it has more than {MOST} mistakes: the others are not told")
"""The last mistake of a file that has too many."""


def advised(message: str, advice: str) -> str:
    """Return a message with what to do added, if another value is not the answer."""
    return f"{message}; what to do: {advice}" if advice else message


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem once, in the order of the file; those without a line come last.

    Of more than `MOST`, return the first ones and `MORE`.
    """

    def place(problem: Problem) -> tuple[float, str]:
        return (math.inf if problem.line is None else problem.line, problem.key)

    every = dict.fromkeys(problems)
    more = MORE in every
    every.pop(MORE, None)
    told = sorted(every, key=place)
    return [*told[:MOST], MORE] if more or len(told) > MOST else told
