"""A connection is cut when its time is over, and at no other time."""

from __future__ import annotations

import socket
import time

import pytest

from provisioner.contract import cut_after
from tests.support.trickle import always, trickling


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def read_all(one: socket.socket) -> bytes:
    return b"".join(iter(lambda: one.recv(100), b""))


def test_who_reads_without_end_is_told_that_the_time_is_over() -> None:
    with (
        trickling([always(b"")], b"x") as port,
        socket.create_connection(("127.0.0.1", port)) as one,
    ):
        one.sendall(b"hello")
        with (
            pytest.raises(TimeoutError, match=r"not done after 0\.1 s"),
            cut_after(0.1, lambda: one),
        ):
            read_all(one)


def test_what_is_done_in_time_stays_connected(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    with cut_after(0.1, lambda: one):
        other.sendall(b"answer")
        assert one.recv(100) == b"answer"
    time.sleep(1.2)  # two looks of the one who cuts
    other.sendall(b"next")
    assert one.recv(100) == b"next"


def test_an_error_within_the_time_stays_what_it_is(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(ValueError, match="mine"), cut_after(10, lambda: pair[0]):
        raise ValueError("mine")


def test_a_connection_that_was_never_made_ends_all_the_same() -> None:
    with pytest.raises(TimeoutError), cut_after(0, lambda: None):
        time.sleep(1.2)
