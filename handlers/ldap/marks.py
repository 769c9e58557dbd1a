"""Marks: whose an entry of a directory is, and whether the service may change it. Pure.

Promises: an entry that is not ours is distinct from one that is; no text of a request reads as a
mark. Leaves out: the attribute that holds a mark (`dialect`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from provisioner.contract import Adapted, Existing, Key, State, Whose, line, whose_mark

_MARK = re.compile(r"[\w.-]+:[\w.@+-]+/(?:account|group)/[\w.@+-]+\Z")


def unlike_marks(text: str, longest: int) -> Adapted:
    """Return a text, in quotes if it reads as a mark, for an attribute that also holds marks."""
    shortened = line(text, longest)
    if not _MARK.match(shortened.text):
        return shortened
    return Adapted(f'"{shortened.text}"', "put in quotes, because it reads as a provisioner's mark")


def mark_of(service: str, key: Key) -> str:
    """Return the mark that says that an entry is ours: `hpc1:ad/account/jdoe`."""
    return f"{service}:{key}"


def find_mark(texts: Collection[str], ours: str) -> str:
    """Return our mark among values and lines, else another's, else ''."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    marks = [line for line in lines if _MARK.match(line)]
    return ours if ours in marks else next(iter(marks), "")


def without_marks(texts: Collection[str]) -> list[str]:
    """Return an entry's remarks without marks."""
    return [text for text in texts if not _MARK.match(text.strip())]


def existing(state: State, ours: str) -> Existing:
    """Say whose an entry is that is there."""
    mark = str(state.get("mark") or "")
    whose = whose_mark(mark, ours)
    sign = "was not made by this service"
    if whose is Whose.ANOTHERS:
        sign = f"has the mark of another service or handler: {mark}"
    return Existing(str(state.get("dn")), whose, sign)
