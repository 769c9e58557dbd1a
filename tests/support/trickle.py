"""A server that begins an answer and goes on with a byte now and then, for ever."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

Answer = Callable[[bytes], bytes]
"""Returns what to say to some words."""


def always(said: bytes) -> Answer:
    """Return an answer that is the same whatever was asked."""
    return lambda asked: said


@contextmanager
def trickling(
    answers: Sequence[Answer], byte: bytes, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve one client after the other during the block; give the port.

    answers: what each gets at once for its first words, and for each that follow; byte: what
    follows the last of these, again and again.
    """
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                one, _ = listener.accept()
                with tls.wrap_socket(one, server_side=True) if tls else one as client:
                    client.settimeout(2)
                    for answer in answers:
                        client.sendall(answer(client.recv(1 << 16)))
                    while not over.wait(0.02):
                        client.sendall(byte)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        over.set()
        thread.join()
        listener.close()
