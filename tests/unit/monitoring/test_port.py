"""Who keeps connections to the metrics open takes little from the service, and nothing from others.

One connection had a thread without end: five hundred of them were all that the service may have.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any
from urllib.request import urlopen

import pytest

from provisioner.monitoring import port as metrics_port
from provisioner.monitoring.port import EACH, Port
from tests.support.waiting import until

HALF = b"GET /metrics HTTP/1.1\r\n"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Sequence[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a 1\n"]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(metrics_port, "SECONDS", 2.0)
    served = Port("127.0.0.1", 0, app)
    yield int(served.server_address[1])
    served.close()


def keep(port: int, number: int, stack: ExitStack) -> list[socket.socket]:
    """Open connections, and begin a request on each."""
    kept = [
        stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(number)
    ]
    for one in kept:
        with suppress(OSError):  # it may be closed already
            one.sendall(HALF)
        one.setblocking(False)
    return kept


def open_still(kept: Sequence[socket.socket]) -> list[socket.socket]:
    def closed(one: socket.socket) -> bool:
        try:
            return one.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    return [one for one in kept if not closed(one)]


def read(port: int) -> bytes:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return bytes(answer.read())


def test_metrics_are_read(port: int) -> None:
    assert read(port) == b"a 1\n"


def test_of_many_connections_of_one_address_a_few_are_kept(port: int) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        kept = keep(port, 5 * EACH, stack)
        until(lambda: len(open_still(kept)) == EACH, "the others are closed")
        assert threading.active_count() <= before + EACH + 1


def test_another_address_is_served_beside_them(port: int) -> None:
    with ExitStack() as stack:
        keep(port, 5 * EACH, stack)
        time.sleep(0.1)
        other = stack.enter_context(socket.socket())
        other.settimeout(10)
        other.bind(("127.0.0.2", 0))
        other.connect(("127.0.0.1", port))
        other.sendall(HALF + b"\r\n")
        assert b"200 OK" in other.recv(100)


def test_who_does_not_end_a_request_is_cut_and_the_port_is_free_again(port: int) -> None:
    with ExitStack() as stack:
        kept = keep(port, EACH, stack)
        until(lambda: open_still(kept) == [], "all are cut")
        assert read(port) == b"a 1\n"
