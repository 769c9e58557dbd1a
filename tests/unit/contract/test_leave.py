"""Leave to write: who was refused once is refused for good, in every thread, and ends so."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from provisioner.contract import ask_leave, carrying_leave, leave_given_by


class Over(Exception):
    pass


def lost() -> None:
    raise Over


def once(answer: Callable[[], None], later: Callable[[], None]) -> Callable[[], None]:
    """Give one answer once, and later another one."""
    answers = [later, answer]

    def sure() -> None:
        (answers.pop() if answers[1:] else later)()

    return sure


def test_nobody_asks_where_nobody_is_in_charge() -> None:
    ask_leave()
    with leave_given_by(lambda: None):
        ask_leave()
    ask_leave()


def test_who_was_refused_is_refused_again_though_it_would_be_allowed() -> None:
    with pytest.raises(Over), leave_given_by(once(lost, lambda: None)):
        for _ in range(2):
            with pytest.raises(Over):
                ask_leave()


@pytest.mark.parametrize("ends", [None, ValueError("another one")])
def test_a_refusal_that_somebody_swallowed_is_raised_at_the_end(ends: Exception | None) -> None:
    def swallow() -> None:
        try:
            ask_leave()
        except Exception:
            if ends is not None:
                raise ends from None

    with pytest.raises(Over), leave_given_by(lost):
        swallow()


def test_a_thread_has_the_leave_that_is_carried_to_it_and_the_block_ends_as_refused() -> None:
    seen: list[str] = []

    def work(name: str) -> None:
        try:
            ask_leave()
        except Over:
            seen.append(name)

    with pytest.raises(Over), leave_given_by(lost):
        for name, run in (("carried", carrying_leave(work)), ("not", work)):
            thread = threading.Thread(target=run, args=[name])
            thread.start()
            thread.join()
    assert seen == ["carried"]


def test_an_inner_leave_counts_until_it_ends() -> None:
    with pytest.raises(Over), leave_given_by(lost):
        with leave_given_by(lambda: None):
            ask_leave()
        ask_leave()
