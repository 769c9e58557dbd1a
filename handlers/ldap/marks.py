"""Marks: whose an entry of a directory is, and whether it may be changed. Pure.

Promises: an entry that is not ours is told from one that is; no text of a request reads as a mark.
Leaves out: the attribute that a mark is in (`dialect`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from provisioner.contract import Adapted, Conflict, Key, State, line

_MARK = re.compile(r"[\w.-]+:[\w.@+-]+/(?:account|group)/[\w.@+-]+\Z")


def unlike_marks(text: str, longest: int) -> Adapted:
    """Put a text in quotes that reads as a mark, where marks stand beside it."""
    shortened = line(text, longest)
    if not _MARK.match(shortened.text):
        return shortened
    return Adapted(f'"{shortened.text}"', "put in quotes, as it reads as a provisioner's mark")


def mark_of(service: str, key: Key) -> str:
    """Write the mark that says that an entry is ours: `hpc1:ad/account/jdoe`."""
    return f"{service}:{key}"


def find_mark(texts: Collection[str], ours: str) -> str:
    """Find our mark among values and lines, else another's, else nothing."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    marks = [line for line in lines if _MARK.match(line)]
    return ours if ours in marks else next(iter(marks), "")


def without_marks(texts: Collection[str]) -> list[str]:
    """Leave the marks out of an entry's remarks."""
    return [text for text in texts if not _MARK.match(text.strip())]


def check_ownership(key: Key, ours: str, state: State, adopt: bool, would: str) -> None:
    """Refuse to change what is not ours. would: the changes in words, empty when there are none.

    Raises Conflict when another's mark is on it, or when it has none, differs, and may not be
    adopted.
    """
    mark = str(state.get("mark") or "")
    if mark == ours:
        return
    if mark:
        raise Conflict(
            f"{key}: {state.get('dn')} bears the mark of another: {mark}",
            advice="two services, or two handlers, claim one entry: let only one of them do so",
        )
    if would and not adopt:
        raise Conflict(f"{key}: {state.get('dn')} was not made here, and differs: {would}")
