"""Marks: whose an entry of a directory is, and whether the service may change it. Pure.

Promises: an entry that is not ours is distinct from one that is; no text of a request reads as a
mark. Leaves out: the attribute that holds a mark (`dialect`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from provisioner.contract import Adapted, Conflict, Key, State, line

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


def check_ownership(key: Key, ours: str, state: State, adopt: bool, would: str) -> None:
    """Raise Conflict if an entry is not ours. would: the changes as text, empty if there are none.

    An entry is not ours if it has another's mark, or if it has no mark, differs, and may not be
    adopted.
    """
    mark = str(state.get("mark") or "")
    if mark == ours:
        return
    if mark:
        raise Conflict(
            f"{key}: {state.get('dn')} has the mark of another service or handler: {mark}",
            advice="let only one of them claim this entry",
        )
    if would and not adopt:
        raise Conflict(
            f"{key}: {state.get('dn')} was not made by this service, and differs: {would}"
        )
