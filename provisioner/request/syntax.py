"""Syntax: what is wrong with a text that is not YAML, in words of its writer.

Promises: pure; names the line that a person has to change, which is often not the one where the
parser stopped. Leaves out: parsing (`documents`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Told = tuple[int, str, str]
"""The line to change, what is wrong with it, and what was expected."""

_BLANKS = "spaces in place of the tab: YAML takes no tabs before a key"
_OPENED = {"flow sequence": ("list", "[", "]"), "flow mapping": ("mapping", "{", "}")}


def explained(text: str, line: int, problem: str, context: str, begun: int | None) -> Told | None:
    """Return the mistake behind a parser's message; None if it is none of the frequent ones.

    line: where the parser stopped, 1-based; problem, context: its words; begun: the line where
    what it was reading began.
    """
    lines = text.splitlines()
    told = _tab(lines, line)
    opened = _OPENED.get(context.removeprefix("while parsing a "))
    if told is None and begun is not None and opened is not None:
        what, opening, closing = opened
        said = f"the {what} that begins with {opening} is not closed, or lacks a comma"
        told = (begun, said, f"{closing} at its end, and commas between its entries")
    if told is None and problem.startswith("could not find expected ':'") and begun is not None:
        told = _no_colon(lines, begun)
    if told is None and problem.startswith("mapping values are not allowed"):
        told = _deeper(lines, line)
    if told is None and problem.startswith("did not find expected key"):
        told = _beside_nothing(lines, line)
    return told


def _tab(lines: Sequence[str], line: int) -> Told | None:
    """Tell a tab before the text of the line where the parser stopped, or of one before it."""
    for number in (line, line - 1):
        if 0 < number <= len(lines) and "\t" in _indent(lines[number - 1]):
            return number, "the line begins with a tab", _BLANKS
    return None


def _no_colon(lines: Sequence[str], line: int) -> Told:
    said = lines[line - 1].strip() if line <= len(lines) else ""
    if re.match(r"-[^\s-]", said):
        return line, "a dash without a blank after it", "`- ` before each entry of a list"
    return line, "the line has no colon after its key", "`key: value`"


def _deeper(lines: Sequence[str], line: int) -> Told | None:
    """Tell a line that stands deeper than a line with a value, or two colons in a line."""
    before = _before(lines, line)
    here = lines[line - 1] if line <= len(lines) else ""
    above = lines[before - 1] if before is not None else ""
    deeper = before is not None and len(_indent(here)) > len(_indent(above))
    if deeper and not above.partition(" #")[0].rstrip().endswith((":", "-", "|", ">")):
        said = f"the line stands deeper than line {before}, which has a value already"
        return line, said, f"as many blanks before it as before line {before}"
    if here.count(": ") > 1:
        return line, "a second `: ` in the line", "quotes around a value that contains `: `"
    return None


def _beside_nothing(lines: Sequence[str], line: int) -> Told | None:
    """Tell a line that stands at a depth at which no line above it does."""
    here = len(_indent(lines[line - 1])) if line <= len(lines) else 0
    depths: dict[int, int] = {}
    for number in range(1, line):
        if lines[number - 1].strip() and not lines[number - 1].lstrip().startswith("#"):
            depths[len(_indent(lines[number - 1]))] = number
    if here in depths or not depths:
        return None
    nearest = min(depths, key=lambda depth: (abs(depth - here), -depths[depth]))
    said = f"the line has {here} blanks before it, and no line above it has as many"
    return line, said, f"{nearest} blanks, as before line {depths[nearest]}"


def _before(lines: Sequence[str], line: int) -> int | None:
    """Return the nearest line above that is not empty and not a comment."""
    for number in range(line - 1, 0, -1):
        said = lines[number - 1].strip()
        if said and not said.startswith("#"):
            return number
    return None


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
