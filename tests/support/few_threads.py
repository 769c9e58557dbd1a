"""A host that has no room for another thread, as `Thread.start` meets it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

_CALLS = ("_start_joinable_thread", "_start_new_thread")
"""What `Thread.start` calls: the first from Python 3.13 on, the second before."""


def refuse(
    monkeypatch: pytest.MonkeyPatch, times: int, only: Callable[[], bool] = lambda: True
) -> None:
    """Let the host refuse a number of threads. only: returns whether one is refused now."""
    name = next(call for call in _CALLS if hasattr(threading, call))
    start: Callable[..., Any] = getattr(threading, name)
    left = [None] * times

    def refused(*given: Any, **more: Any) -> Any:
        if left and only():
            left.pop()
            raise RuntimeError("can't start new thread")
        return start(*given, **more)

    monkeypatch.setattr(threading, name, refused)
