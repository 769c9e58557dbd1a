"""Places: where in a document something is, for programs and as people write it.

Promises: pure; a place that was written is read back as the same one.
"""

from __future__ import annotations

import re

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
