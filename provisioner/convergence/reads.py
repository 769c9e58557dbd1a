"""Trying again, for seconds: reads and connecting.

Promises: a backend that hiccups is asked again at once; nothing that writes is. Leaves out: minutes
to days, which are the lanes'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from provisioner.contract import Unavailable

T = TypeVar("T")


def reads(call: Callable[[], T]) -> T:
    """Call until it does not say Unavailable, for about two seconds; then let that through."""
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_random_exponential(multiplier=0.1, max=0.5),
        stop=stop_after_delay(2),
        reraise=True,
    )
    return retrying(call)
