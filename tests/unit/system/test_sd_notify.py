"""What systemd is told, and nothing where it does not listen."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.system import sd_notify
from provisioner.system.sd_notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        yield manager


def heard(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


def say_all(notifier: Notifier) -> None:
    notifier.ready()
    notifier.alive()
    notifier.alive()
    notifier.stopping()


def test_ready_alive_and_stopping_are_said(manager: socket.socket) -> None:
    say_all(Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "90000000"}))
    assert heard(manager) == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_alive_is_said_again_before_the_watchdog_bites(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "3"})
    notifier.alive()
    while len(said := heard(manager)) < 1:
        notifier.alive()
    assert said[0] == "WATCHDOG=1"


def test_a_start_asks_again_for_more_time_before_that_is_over(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.starting()
    notifier.starting()
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=900000000"]
    monkeypatch.setattr(sd_notify, "START", 0.0)
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.starting()
    notifier.starting()
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=0"] * 2


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": str(os.getpid() + 1)}],
)
def test_without_a_watchdog_of_ones_own_nobody_hears_of_being_alive(
    manager: socket.socket, environment: dict[str, str]
) -> None:
    say_all(Notifier({"NOTIFY_SOCKET": manager.getsockname(), **environment}))
    assert heard(manager) == ["READY=1", "STOPPING=1"]


def test_an_abstract_name_is_understood(tmp_path: Path) -> None:
    name = f"provisioner-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert heard(manager) == ["READY=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "x" * 500])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    say_all(Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"}))
