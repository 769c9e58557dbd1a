"""A signal ends a process in order, whatever the main thread does when it comes."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from provisioner.cli import signals
from tests.support.waiting import until


@pytest.mark.parametrize("number", signals.ENDING)
def test_it_waits_for_a_lock_that_the_main_thread_holds(number: int) -> None:
    lock, stopped = threading.Lock(), threading.Event()

    def stop() -> None:
        with lock:
            stopped.set()

    with signals.stopping(stop):
        with lock:
            os.kill(os.getpid(), number)
            assert not stopped.is_set()
        until(stopped.is_set, "it to stop")


def test_it_is_heard_once_however_often_it_comes() -> None:
    calls: list[str] = []
    with signals.stopping(lambda: calls.append("stop")):
        for number in (signal.SIGTERM, signal.SIGINT) * 100:
            os.kill(os.getpid(), number)
        until(lambda: calls, "it to stop")
    assert calls == ["stop"]


def test_what_was_done_at_a_signal_before_is_done_again_afterwards() -> None:
    before = [signal.getsignal(number) for number in signals.ENDING]
    with signals.stopping(lambda: None):
        assert [signal.getsignal(number) for number in signals.ENDING] != before
    assert [signal.getsignal(number) for number in signals.ENDING] == before
    assert "signals" not in [thread.name for thread in threading.enumerate()]
