"""Several questions at the same time, to a daemon or to two: each waits for its own answer.

Promises: the answers in the order of the questions, or the fault of the first that has one. Leaves
out: writes, which go one after the other.

A question to slurmdbd 22.05 waits four times for a delayed acknowledgement of TCP, 44 ms each, and
works for none of that time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")
_Other = TypeVar("_Other")


@dataclass(slots=True)
class _Asked(Generic[_Answer]):
    """A question and what became of it."""

    ask: Callable[[], _Answer]
    answer: _Answer | None = None
    fault: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self.ask()
        except BaseException as fault:  # it is raised again where the answer is wanted
            self.fault = fault

    def result(self) -> _Answer:
        if self.fault is not None:
            raise self.fault
        return self.answer  # type: ignore[return-value]


def together(asks: Sequence[Callable[[], _Answer]]) -> list[_Answer]:
    """Return what each of some functions returns, which run at the same time.

    Raises what the first of them raised. That one runs in this thread, and the threads of the
    others keep no process alive: whoever is told to stop meanwhile need not wait for them.
    """
    first, *others = asks
    asked = [_Asked(ask) for ask in others]
    threads = [threading.Thread(target=one.run, daemon=True) for one in asked]
    for thread in threads:
        thread.start()
    mine = first()
    for thread in threads:
        thread.join()
    return [mine, *(one.result() for one in asked)]


def both(one: Callable[[], _Answer], other: Callable[[], _Other]) -> tuple[_Answer, _Other]:
    """Return what two functions return, which run at the same time; as `together`."""
    first, second = together([lambda: (one(), None), lambda: (None, other())])
    return first[0], second[1]  # type: ignore[return-value]
