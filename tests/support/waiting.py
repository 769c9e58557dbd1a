"""Waits of tests for what another process or thread does; one that never does it is a failure."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 120.0
"""Seconds, ample on a machine that does much else."""


def until(so: Callable[[], object], what: str, every: float = 0.01) -> None:
    """Wait until `so` returns something true. what: what is waited for, in words; every: seconds
    between two questions, more where one costs much."""
    deadline = time.monotonic() + LONGEST
    while not so():
        assert time.monotonic() < deadline, f"not within {LONGEST:.0f} s: {what}"
        time.sleep(every)
