"""The answers of a look that may serve the next one: new users come in batches, and what reads one
batch back is what would be asked before the next; and there is time to look while other backends
get a new user first.

Promises: answers are handed out for the same questions alone, once, for a moment, and never if this
process has written since it asked; to any thread. Leaves out: for whom that is good enough
(`sacctmgr`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

_Answer = TypeVar("_Answer")

MOMENT: Final = 2.0
"""Seconds after its questions for which an answer serves."""


@dataclass(slots=True)
class Lately(Generic[_Answer]):
    """The last answers. Times are monotonic seconds."""

    _asked: object = None
    _answers: Sequence[_Answer] = ()
    _at: float = 0.0
    _wrote: float = 0.0
    _coming: object = None
    _wanted: bool = False
    _turn: threading.Condition = field(default_factory=threading.Condition)

    def expect(self, asked: object) -> None:
        """Let who takes the answers to these questions wait for them; `arrived` ends that."""
        with self._turn:
            self._coming, self._wanted = asked, False

    def unhurried(self, seconds: float) -> None:
        """Return after a while, or as soon as somebody waits for what is expected."""
        with self._turn:
            self._turn.wait_for(lambda: self._wanted, seconds)

    def arrived(self, asked: object) -> None:
        """Say that these questions are answered, or will not be."""
        with self._turn:
            if self._coming == asked:
                self._coming = None
            self._turn.notify_all()

    def keep(self, asked: object, answers: Sequence[_Answer], at: float) -> None:
        """Keep answers, unless this process has written since. at: when they were asked for."""
        with self._turn:
            if at > self._wrote:
                self._asked, self._answers, self._at = asked, answers, at

    def take(self, asked: object) -> Sequence[_Answer] | None:
        """Return the answers to questions, and forget them; None if there are none that serve.

        Those that are expected are waited for, for a moment.
        """
        with self._turn:
            if self._coming == asked:
                self._wanted = True
                self._turn.notify_all()
            self._turn.wait_for(lambda: self._coming != asked, MOMENT)
            known, answers, at = self._asked, self._answers, self._at
            if known != asked or time.monotonic() - at > MOMENT:
                return None
            self._asked, self._answers = None, ()
            return answers

    def wrote(self) -> None:
        """Forget them: this process has written."""
        with self._turn:
            self._wrote = time.monotonic()
            self._asked, self._answers = None, ()
