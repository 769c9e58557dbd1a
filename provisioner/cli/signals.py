"""Signals that end a process in order.

Promises: what ends it runs in a thread of its own, once, however many signals come: a handler that
ran in the main thread, between two of its steps, would wait for a lock that this thread holds.
Leaves out: what ends then.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function at the first signal that ends the process and comes during the block.

    For the main thread alone.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(reading, True)

    def wait() -> None:
        with os.fdopen(reading, "rb", buffering=0) as signals:
            if signals.read(1):
                stop()

    def note(*_: object) -> None:
        with suppress(BlockingIOError, BrokenPipeError):  # one is enough
            os.write(writing, b".")

    waiting = threading.Thread(target=wait, name="signals")
    before = {number: signal.signal(number, note) for number in ENDING}
    waiting.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        waiting.join()
