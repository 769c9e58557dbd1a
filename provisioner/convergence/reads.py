"""Retries that take seconds: for reads and connections.

Promises: a backend that fails for a moment is asked again at once; a write is not repeated. Leaves
out: retries after minutes to days, which belong to the lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from provisioner.contract import Unavailable

T = TypeVar("T")


def reads(call: Callable[[], T]) -> T:
    """Call until it no longer raises Unavailable, for about two seconds; then raise that."""
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_random_exponential(multiplier=0.1, max=0.5),
        stop=stop_after_delay(2),
        reraise=True,
    )
    return retrying(call)
