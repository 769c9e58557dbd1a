"""Plain: the form in which programs, and most people, write a request, read line by line.

Promises: a text that is read here is the same document to YAML's own parser, with the same lines. A
text with anything else in it, such as a mistake, is read by that alone. That makes two marks and an
event of each word, which takes four times as long. Leaves out: mistakes (`syntax`).
"""

from __future__ import annotations

import re
from typing import Any

from provisioner.request.places import Path

Read = tuple[dict[str, Any], dict[Path, int]]
"""A mapping with text leaves, and the line of each key and item, by path."""

DEPTH = 8
"""The most levels that are read here."""

LINES = 2000
"""The most lines that are read here."""

_IN = r"[\w./+@=%~-]"
_MORE = rf"{_IN}*(?::{_IN}+)*"
_VALUE = rf"""[\w./+]{_MORE}(?: {_IN}{_MORE})*|"[ !#-\[\]-~]*"|'[ -&(-~]*'"""
_LINE = re.compile(rf"( *)(?:([A-Za-z_][\w.-]{{0,99}}):(?: ({_VALUE}))?|- ({_VALUE}))", re.ASCII)
_NOTHING = re.compile(r" *(?:#[ -~]*)?", re.ASCII)
_ABSENT = frozenset({"null", "Null", "NULL"})


def read(text: str) -> Read | None:
    """Return a document of keys, values and lists of values, each in a line of its own.

    Return None for any other text.
    """
    if not text.isascii():
        return None
    rows = text.split("\n", LINES)
    if len(rows) > LINES:
        return None
    return _Reader().document(rows)


class _Reader:
    """Reads the lines of a text."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self.lines: dict[Path, int] = {}
        self.open: list[tuple[int, Path, Any]] = [(0, (), self.root)]
        self.above: str | None = None
        """The key of the line before, if that has no value: the next one may be in it."""

    def document(self, rows: list[str]) -> Read | None:
        """Read all lines."""
        matching = _LINE.fullmatch
        for number, row in enumerate(rows, 1):
            found = matching(row)
            if found is None:
                if _NOTHING.fullmatch(row):
                    continue
                return None
            indent, key, value, item = found.groups()
            if not self._enter(len(indent), is_list=key is None):
                return None
            if not self._put(number, key, _meant(value or item)):
                return None
            self.above = key if value is None else None
        return (self.root, self.lines) if self.root else None

    def _enter(self, indent: int, *, is_list: bool) -> bool:
        """Open or close levels before a line. Return False if it fits to none."""
        level, path, inner = self.open[-1]
        if indent > level:
            if self.above is None or len(self.open) >= DEPTH:
                return False
            new: Any = [] if is_list else {}
            inner[self.above] = new
            self.open.append((indent, (*path, self.above), new))
            return True
        while indent < level:
            self.open.pop()
            level, _, inner = self.open[-1]
        return indent == level and (type(inner) is list) == is_list

    def _put(self, number: int, key: str | None, value: str | None) -> bool:
        """Put a value into its level. Return False if its key is there already."""
        _, path, inner = self.open[-1]
        if key is None:
            self.lines[(*path, len(inner))] = number
            inner.append(value)
            return True
        if key in inner:
            return False
        self.lines[(*path, key)] = number
        inner[key] = value
        return True


def _meant(value: str | None) -> str | None:
    """Return the value of a line as text; None if there is none."""
    if value is None or value in _ABSENT:
        return None
    return value[1:-1] if value[0] in "\"'" else value
