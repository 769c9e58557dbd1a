"""Walks: random sequences of events, played, shrunk when they fail, and counted.

Promises: a sequence is plain data, drawn by a seed; one that fails is shrunk by leaving things out,
and printed. Leaves out: what may happen, and what has to be so (`model.play`, `people.play`).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = tuple[Any, ...]

MEMORY = Path("/dev/shm")


class Mismatch(AssertionError):
    """The service differs from what the oracle says."""


@dataclass(frozen=True)
class Walk:
    """A kind of sequences. draw: returns the one of a seed; play: plays one to its end, and returns
    how often each thing was done; raises AssertionError if something is wrong."""

    name: str
    draw: Callable[[int], list[Event]]
    play: Callable[[Sequence[Event]], Counter[str]]

    def verdict(self, seed: int) -> tuple[Counter[str], str]:
        """Play what a seed draws; return what was done, or the smallest part that fails."""
        events = self.draw(seed)
        try:
            return self.play(events), ""
        except AssertionError:
            small = self.shrink(events)
        steps = "\n".join(f"    {event}," for event in small)
        return Counter(), f"seed {seed}, shrunk to:\n{steps}\n{self.fails(small)}"

    def shrink(self, events: Sequence[Event]) -> list[Event]:
        """Return the part of a failing sequence that is needed to fail."""
        left, size = list(events), max(1, len(events) // 2)
        while size:
            place = 0
            while place < len(left):
                fewer = left[:place] + left[place + size :]
                if self.fails(fewer):
                    left = fewer
                else:
                    place += size
            size //= 2
        return left

    def fails(self, events: Sequence[Event]) -> str:
        """Return what is wrong after a sequence; '' if nothing is."""
        try:
            self.play(events)
        except AssertionError as error:
            return str(error) or repr(error)
        return ""

    def report(self, seeds: Sequence[int]) -> tuple[Counter[str], list[str]]:
        """Play what seeds draw, side by side on all cores; print what failed, each as it is found,
        and how much was done.

        Return how often each thing was done, and what failed.
        """
        done: Counter[str] = Counter()
        failed = []
        with multiprocessing.get_context("spawn").Pool(os.cpu_count(), logging.disable) as pool:
            for counts, problem in pool.imap_unordered(self.verdict, seeds, chunksize=4):
                done += counts
                if problem:
                    failed.append(problem)
                    print(problem, flush=True)
        what = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
        seen = f"seeds {seeds[0]} to {seeds[-1]}, {len(failed)} wrong"
        print(f"{self.name}: {len(seeds)} sequences, {seen}")
        print(f"{self.name}: {what}", flush=True)
        return done, failed


def asked(arguments: Sequence[str]) -> range:
    """Return the seeds that a command line asks for: `[FIRST [COUNT]]`."""
    first, count, *_ = [*map(int, arguments), *(0, 2000)[len(arguments) :]]
    return range(first, first + count)
