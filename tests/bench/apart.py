"""A service that is measured in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any


@contextmanager
def apart(serve: Callable[..., None], *given: Any) -> Iterator[tuple[int, Connection]]:
    """Run a function in a process of its own; return its number, and what it is asked by.

    serve: gets what is given, and the other end; it says that it has begun, and ends with None.
    """
    context = multiprocessing.get_context("spawn")
    ask, answer = context.Pipe()
    process = context.Process(target=serve, args=(*given, answer))
    process.start()
    assert process.pid is not None
    ask.recv()
    try:
        yield process.pid, ask
    finally:
        ask.send(None)
        process.join()
