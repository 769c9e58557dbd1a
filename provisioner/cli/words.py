"""Words of rows: durations, dates, and texts on one line.

Promises: imports nothing of the project, as each verb is loaded with the program.
"""

from __future__ import annotations

import time


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


def when(seconds: float) -> str:
    """Return a time as people write it, with its zone."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
