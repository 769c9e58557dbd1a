"""Many sequences, side by side on all cores."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Sequence

from tests.fault.model.play import verdict


def report(seeds: Sequence[int]) -> tuple[Counter[str], list[str]]:
    """Play what seeds draw; print what failed, each as it is found, and how much was done.

    Return how often each thing was done, and what failed.
    """
    done: Counter[str] = Counter()
    failed = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), logging.disable) as pool:
        for counts, problem in pool.imap_unordered(verdict, seeds, chunksize=4):
            done += counts
            if problem:
                failed.append(problem)
                print(problem, flush=True)
    what = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
    print(f"model: {len(seeds)} sequences, seeds {seeds[0]} to {seeds[-1]}, {len(failed)} wrong")
    print(f"model: {what}", flush=True)
    return done, failed
