"""Many sequences, side by side on all cores."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence

from tests.fault.model.play import verdict


def wrong(seeds: Sequence[int]) -> Iterator[str]:
    """Play what seeds draw; tell of those that fail, each as it is found."""
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), logging.disable) as pool:
        yield from filter(None, pool.imap_unordered(verdict, seeds, chunksize=4))


def report(seeds: Sequence[int]) -> int:
    """Play what seeds draw, and print what failed and how many sequences there were."""
    failed = 0
    for found in wrong(seeds):
        failed += 1
        print(found, flush=True)
    print(f"model: {len(seeds)} sequences, seeds {seeds[0]} to {seeds[-1]}, {failed} wrong")
    return bool(failed)
