"""A sacctmgr or scontrol that starts before its command is known, for one that comes soon.

Promises: it gets one command, and then it ends; what it prints and its exit code are those of a
plain call with the same words. None is ever used twice. One that is not there, or that fails, is a
plain call's turn. One that nobody needs ends after a while, and each ends with this process, as its
input does. Leaves out: which commands a plain call may repeat (`sacctmgr`, `slurmctld`).
Source: sacctmgr and scontrol of 22.05.8, 24.11.5 and 26.05.5, which read lines by readline.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from provisioner.contract import PATH, Completed, ask_leave

_WORD = re.compile(r"[A-Za-z0-9_.,:=/@+-]+", re.ASCII)
"""What these read from a line as it is given it in an argument: no blanks, and no quotes."""

_LONGEST: Final = 4000
"""The most characters of a command: what a pipe takes at once. Longer ones gain nothing."""


@dataclass(slots=True)
class _Waiting:
    """A process that waits for its command, and the timer that ends it."""

    process: subprocess.Popen[bytes]
    timer: threading.Timer


@dataclass(slots=True)
class Spare:
    """At most one at a time. words: the program, with any prefix and options; idle: seconds until
    one that is not needed ends."""

    words: Sequence[str]
    environment: Mapping[str, str]
    idle: float
    _waiting: _Waiting | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Start one, unless one waits. Raises OSError or RuntimeError if the host has no room."""
        with self._lock:
            if self._waiting is not None and self._waiting.process.poll() is None:
                return
            self._close()
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                list(self.words),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env={"PATH": PATH, "LANG": "C", "LC_ALL": "C", **self.environment},
                bufsize=0,
                start_new_session=True,
            )
            timer = threading.Timer(self.idle, self.close)
            timer.daemon = True
            self._waiting = _Waiting(process, timer)
            try:
                timer.start()
            except RuntimeError:
                self._close()
                raise

    def run(self, words: Sequence[str], timeout: float) -> Completed | None:
        """Run a command by it; None if there is none, or the command is none for it.

        timeout: seconds, after which it is ended and `timed_out` is set.
        """
        line = " ".join(words)
        if len(line) > _LONGEST or not all(map(_WORD.fullmatch, words)):
            return None
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None
        waiting.timer.cancel()
        process, argv = waiting.process, (*self.words, *words)
        try:
            ask_leave()
            out, err = process.communicate(f"{line}\n".encode(), timeout)
        except subprocess.TimeoutExpired:
            return Completed(argv, -signal.SIGKILL, "", "", timed_out=True)
        finally:
            _end(process)
        printed, said = (text.decode("utf-8", "backslashreplace") for text in (out, err))
        return Completed(argv, process.returncode, printed, said)

    def close(self) -> None:
        """End the one that waits."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.timer.cancel()
            _end(waiting.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it runs, and close its pipes."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
