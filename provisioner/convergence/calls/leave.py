"""Leave: whether this process may write to a backend now, asked just before each call that writes.

Promises: `ask` raises what the one in charge of this thread raises, and nothing where nobody is.
Leaves out: who is in charge (`hold`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Sure = Callable[[], None]
"""Raises an error unless the process may write now."""

_here = threading.local()


@contextmanager
def given_by(sure: Sure) -> Iterator[None]:
    """Have `ask` in the block, in this thread, call a function."""
    before = getattr(_here, "sure", None)
    _here.sure = sure
    try:
        yield
    finally:
        _here.sure = before


def ask() -> None:
    """Raise an error unless this thread may write now."""
    sure: Sure | None = getattr(_here, "sure", None)
    if sure is not None:
        sure()
