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

MOMENT = 2.0
"""The most seconds for which a read is repeated, and an object waits for an answer."""


def reads(call: Callable[[], T], moment: float = MOMENT) -> T:
    """Call until it no longer raises Unavailable; raise that when the moment is over.

    moment: seconds, above 0.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_random_exponential(multiplier=moment / 20, max=moment / 4),
        stop=stop_after_delay(moment),
        reraise=True,
    )
    return retrying(call)
