"""Timings: how long calls to backends take, and how many failed.

Promises: a call is counted once, with a microsecond of work; nothing is written anywhere. Numbers
count from the start of the process. Leaves out: who reads them (`monitoring`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, float("inf"))
"""Upper bounds of the buckets, in seconds."""


@dataclass(slots=True)
class Calls:
    """The calls of one kind to one handler. buckets: how many were not longer than each bound."""

    number: int = 0
    errors: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))


_calls: dict[tuple[str, str], Calls] = {}
_turn = threading.Lock()
_here = threading.local()


@contextmanager
def of(instance: str) -> Iterator[None]:
    """Count the calls of the block, in this thread, as calls to a handler's instance."""
    _here.instance = instance
    try:
        yield
    finally:
        _here.instance = ""


@contextmanager
def timed(call: str) -> Iterator[None]:
    """Count the block as a call. call: observe or apply."""
    instance, began, failed = getattr(_here, "instance", ""), time.monotonic(), True
    try:
        yield
        failed = False
    finally:
        _add(instance, call, time.monotonic() - began, failed)


def _add(instance: str, call: str, seconds: float, failed: bool) -> None:
    with _turn:
        calls = _calls.setdefault((instance, call), Calls())
        calls.number += 1
        calls.errors += failed
        calls.seconds += seconds
        for number, bound in enumerate(BOUNDS):
            if seconds <= bound:
                calls.buckets[number] += 1


def all_calls() -> dict[tuple[str, str], Calls]:
    """Return a copy of all counts, by instance and call."""
    with _turn:
        return {
            key: Calls(calls.number, calls.errors, calls.seconds, list(calls.buckets))
            for key, calls in _calls.items()
            if key[0]
        }
