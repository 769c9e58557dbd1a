"""Clocks of a test, which jump and go on as it says."""

from __future__ import annotations

import time

import pytest


class Clocks:
    """This process's clocks: the time of day, and the one that nobody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set = self._gone = 0.0
        real, steady = time.time, time.clock_gettime
        monkeypatch.setattr(time, "time", lambda: real() + self._set + self._gone)
        monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
        monkeypatch.setattr(time, "clock_gettime", lambda which: steady(which) + self._gone)

    def jump(self, seconds: float) -> None:
        """Set the time of day."""
        self._set += seconds

    def go(self, seconds: float) -> None:
        """Let time go by, as both clocks tell it."""
        self._gone += seconds
