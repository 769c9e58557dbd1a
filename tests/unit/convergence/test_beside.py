"""Work beside writing: done once, whatever threads the host has, and its error is the lane's."""

from __future__ import annotations

import threading

import pytest

from provisioner.convergence import beside
from provisioner.convergence.beside import Beside, nothing
from tests.support import few_threads


def test_the_work_is_done_once_and_beside_what_the_caller_does() -> None:
    where: list[int] = []
    done = threading.Event()

    def work() -> None:
        where.append(threading.get_ident())
        done.set()

    one = Beside(work, {"a"})
    one.start()
    one.begin()
    assert done.wait(30)
    one.finish()
    one.finish()
    assert len(where) == 1
    assert where != [threading.get_ident()]


def test_it_waits_for_the_write_but_not_for_a_look_that_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beside, "MOMENT", 0.001)
    done = threading.Event()
    one = Beside(done.set, ())
    one.start()
    assert done.wait(30)
    one.finish()


def test_work_that_was_not_started_is_done_where_it_is_finished() -> None:
    where: list[int] = []
    one = Beside(lambda: where.append(threading.get_ident()), ())
    one.begin()
    assert where == []
    one.finish()
    assert where == [threading.get_ident()]


def test_a_host_without_a_thread_left_does_it_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[int] = []
    one = Beside(lambda: where.append(threading.get_ident()), ())
    few_threads.refuse(monkeypatch, 1)
    one.start()
    one.finish()
    assert where == [threading.get_ident()]


@pytest.mark.parametrize("started", [True, False])
def test_its_error_is_raised_once_in_the_callers_thread(started: bool) -> None:
    def fails() -> None:
        raise KeyError("full")

    one = Beside(fails, ())
    if started:
        one.start()
    with pytest.raises(KeyError):
        one.finish()
    one.finish()


def test_nothing_concerns_nothing() -> None:
    nothing().finish()
    assert nothing().keys == ()
