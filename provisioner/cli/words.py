"""Words of rows: durations, dates, lists of names, and texts on one line.

Promises: imports nothing of the project, as each verb is loaded with the program.
"""

from __future__ import annotations

import time
from collections.abc import Sequence


def span(seconds: float) -> str:
    """Return a duration for a person, in the largest unit of which it has at least two."""
    whole = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def one_line(text: str) -> str:
    """Return a text without its line ends; `show` has it as it is."""
    return " ".join(text.split())


def some(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are; '' if there are none."""
    more = len(names) - most
    # One more is as short as its number.
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"


def when(seconds: float) -> str:
    """Return a time as people write it, with its zone."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
