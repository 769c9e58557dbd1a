"""Threads of the service start where the host has room for them, or wait for it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest

from provisioner.contract import Transient
from provisioner.convergence import threads
from provisioner.convergence.calls.questions import unexpected
from tests.support import few_threads


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_PAUSE", 0.001)


def test_a_thread_that_the_host_refuses_starts_when_there_is_room_and_it_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran = threading.Event()
    thread = threading.Thread(target=ran.set)
    few_threads.refuse(monkeypatch, 3)
    assert threads.started(thread.start, threading.Event())
    thread.join()
    assert ran.is_set()
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "TasksMax" in record.getMessage()
    assert not record.exc_info


def test_who_is_stopped_does_not_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = threading.Event()
    few_threads.refuse(monkeypatch, 1_000_000)

    def start() -> None:
        stopping.set()
        threading.Thread(target=print).start()

    assert not threads.started(start, stopping)


def test_another_error_of_a_start_is_raised() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    with pytest.raises(RuntimeError, match="once"):
        threads.started(thread.start, threading.Event())


def test_a_handler_that_gets_no_thread_is_tried_again() -> None:
    try:
        raise RuntimeError("can't start new thread")
    except RuntimeError:
        fault = unexpected("Accounts.apply")
    assert isinstance(fault, Transient)
    assert "TasksMax" in fault.advice


PROGRAM = """
import ctypes, threading
from provisioner.convergence import threads as service
service.share_memory()
together = threading.Barrier(4)
def work():
    some = bytearray(100_000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def test_threads_take_memory_from_one_place() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True)
    assert run.stdout.count(b"<heap nr=") == 1
