"""Sessions of one sacctmgr, for the questions of a look.

Promises: each question of a look has a session of its own, so that all are answered at the same
time. Answers are those of a process that was started anew, or there are none, and the caller asks
by plain calls: while sessions start, while another thread asks for long, and for a while after any
doubt.
A session in doubt ends and is never asked again. One ends when it was not needed for some time:
until its next question, a transaction that reads stays open in slurmdbd's database. Leaves out:
one session (`session`), and the plain calls (`sacctmgr`).

sacctmgr reads associations anew for each question, but it keeps the names of QOS and of resources
from its first question on: a later QOS is left out of a list, or called `UNKN-2`, and a limit of a
later resource is not printed at all (22.05.8, 24.11.5, 26.05.5). So each look asks for both lists,
too, and believes only sessions that began with the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from handlers.slurm.session import Doubt, Session, sayable

NAMES: Final = ("show tres format=ID,Type,Name", "show qos format=ID,Name")
"""What sacctmgr keeps, in lists that it makes anew each time."""

FIRST: Final = "show assoc where account=root user=root format=QOS,GrpTRES"
"""A question for which sacctmgr reads these lists and keeps them."""

MOST: Final = 30.0
"""The most seconds for the answers of a look; a plain call has the handler's own limit."""

TURN: Final = 0.3
"""The most seconds to wait while another thread asks: plain calls take as long on 22.05."""

REST: Final = 30.0
"""Seconds without sessions after a doubt."""


@dataclass(slots=True)
class _Reader:
    """A session. used: when it was last needed; names: the answers to NAMES with which it began;
    None until it gave them."""

    session: Session
    used: float
    names: list[str] | None = None

    def ready(self) -> bool:
        """Return True if it has begun, and has nothing to say. Raises Doubt."""
        if not self.session.answered(0.0):
            return False
        if self.names is None:
            self.names = self.session.heard()[: len(NAMES)]
        return True


@dataclass(slots=True)
class Readers:
    """Sessions of a program. words: the program, with any prefix; idle: seconds; most: seconds for
    the answers of a look."""

    words: Sequence[str]
    environment: Mapping[str, str]
    idle: float
    most: float
    _readers: list[_Reader] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _not_before: float = 0.0
    _watched: bool = False

    def ask(self, questions: Sequence[str]) -> list[str] | None:
        """Return the answers; None if the caller has to ask otherwise."""
        everything = [*questions, *NAMES]
        if not all(map(sayable, questions)) or not self._lock.acquire(timeout=TURN):
            return None
        try:
            if time.monotonic() < self._not_before:
                return None
            self._watch()
            ready = [one for one in self._readers if one.ready()]
            if len(ready) < len(everything):
                self._begin(len(everything) - len(self._readers))
                return None
            return self._answers(ready, everything)
        except (Doubt, OSError, RuntimeError):  # also a host without a thread or a descriptor left
            self._end()
            self._not_before = time.monotonic() + REST
            return None
        finally:
            self._lock.release()

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            self._end()

    def _answers(self, readers: Sequence[_Reader], everything: Sequence[str]) -> list[str] | None:
        """Ask all at the same time. Return None if a session is older than a name of Slurm's."""
        deadline = time.monotonic() + self.most
        asked = list(zip(readers, everything, strict=False))
        for reader, question in asked:
            reader.used = time.monotonic()
            reader.session.say(question)
        answers = []
        for reader, _ in asked:
            if not reader.session.answered(deadline - time.monotonic()):
                raise Doubt(f"no answer within {self.most:g} s")
            answers += reader.session.heard()
        now = answers[-len(NAMES) :]
        if any(reader.names != now for reader, _ in asked):
            self._end()
            return None
        return answers[: -len(NAMES)]

    def _begin(self, number: int) -> None:
        """Start some sessions, which prove themselves meanwhile. Raises Doubt."""
        for _ in range(number):
            session = Session(self.words, self.environment)
            self._readers.append(_Reader(session, time.monotonic()))
            for question in (*NAMES, FIRST):
                session.say(question)

    def _end(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.session.close()

    def _watch(self) -> None:
        """Let a timer end the sessions that nobody needs for some time."""
        if self._watched:
            return
        timer = threading.Timer(self.idle, self._look_at_the_time)
        timer.daemon = True
        timer.start()
        self._watched = True

    def _look_at_the_time(self) -> None:
        with self._lock:
            self._watched = False
            since = time.monotonic() - self.idle
            idle = [reader for reader in self._readers if reader.used <= since]
            self._readers = [reader for reader in self._readers if reader.used > since]
            for reader in idle:
                reader.session.close()
            if self._readers:
                self._watch()
