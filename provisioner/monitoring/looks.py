"""Looks into staging: how long the last one took. Metrics read it; nothing else does.

Promises: a microsecond of work for each look. Leaves out: the sweep itself (`service`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Looks:
    """The last look into staging.

    seconds: how long it took, with what was accepted in it; ended: when it was over, None where
    nobody looks; lost: returns how often the kernel dropped events of staging.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ended: float | None = None
        self.lost: Callable[[], int] = lambda: 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Note how long the block, a look, took."""
        began = time.monotonic()
        yield
        self.seconds, self.ended = time.monotonic() - began, time.time()
