"""Whether a process is over."""

from __future__ import annotations

import time
from pathlib import Path


def over(pid: int, tries: int = 500) -> bool:
    """Return True if a process is over: reaped, or waiting for that. A kill takes a moment to
    arrive."""
    for _ in range(tries):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False
