"""A sacctmgr that is kept running: it reads questions from a pipe, one a line, and answers each.

Promises: an answer is handed out only if everything that the program printed is it. Behind each
question goes a word that is none of sacctmgr's and that nobody can guess. sacctmgr repeats what it
reads behind its prompt, and says of the word that it does not know it; so what stands between the
question and the word is the answer, to this question and no other, and whole. Whatever else it
prints, and an end or silence, raises Doubt: who hears that ends the session and asks otherwise. Its
pipe closes with this process, however that ends, and sacctmgr ends with its pipe. Leaves out: how
many there are, when they end, and what sacctmgr keeps in mind from question to question
(`readers`). Source: sacctmgr of 22.05.8, 24.11.5 and 26.05.5, which read lines by readline.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO, Final, cast

from provisioner.contract import PATH

PROMPT: Final = "sacctmgr: "

OUTPUT: Final = 32 << 20
"""The most bytes of an answer that are kept."""

_LINE = re.compile(r"[!-~]+(?: [!-~]+)*\Z", re.ASCII)
_LONGEST = 30_000
_WIDE = {"COLUMNS": "32000"}
"""The width of a terminal, at which readline repeats a line as it is: longer ones it scrolls."""

_CHUNK = 1 << 16


class Doubt(Exception):
    """What a session did and an answer is not."""


def sayable(question: str) -> bool:
    """Return True if a question can be put to a session: one line, that readline leaves alone."""
    return len(question) < _LONGEST and bool(_LINE.match(question))


class Session:
    """One sacctmgr. Each method raises Doubt."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it. words: the program, with any prefix."""
        env = {"PATH": PATH, "LANG": "C", "LC_ALL": "C", **_WIDE, **environment}
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [*words, "-n", "-P"],
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=env,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise Doubt(f"{words[0]} cannot be run: {error.strerror}") from None
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        self._given = process.stdin
        os.set_blocking(self._given.fileno(), False)
        self._selector = selectors.PollSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, "stdout")
        self._selector.register(process.stderr, selectors.EVENT_READ, "stderr")
        self._printed = {"stdout": bytearray(), "stderr": bytearray()}
        self._mark = f"end-{secrets.token_hex(8)}"
        self._asked = 0
        self._open: deque[tuple[str, str]] = deque()
        self._answers: list[str] = []

    def say(self, question: str) -> None:
        """Put a question, which `sayable` takes."""
        self._asked += 1
        word = f"{self._mark}-{self._asked}"
        line = f"{question}\n{word}\n".encode()
        try:
            written = os.write(self._given.fileno(), line)
        except OSError as error:
            raise Doubt(f"it reads no more: {error.strerror}") from None
        if written < len(line):
            raise Doubt("it does not read on")
        self._open.append((question, word))

    def answered(self, seconds: float) -> bool:
        """Return True if everything is answered, after so many seconds at most."""
        deadline = time.monotonic() + seconds
        while not self._settled():
            rest = deadline - time.monotonic()
            if not self._take(max(0.0, rest)) and rest <= 0:
                return False
        # An ended one has nothing open either, and one that goes on printing is not to be believed.
        while self._take(0.0):
            self._settled()
        return True

    def heard(self) -> list[str]:
        """Return the answers since the last call, in the order of the questions."""
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """End it. It only reads, so nothing is lost."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        printed = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()
        for pipe in (self._given, *printed):
            cast(IO[bytes], pipe).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def _settled(self) -> bool:
        """Take the answers that are whole; return True if no question is open."""
        out, err = self._printed["stdout"], self._printed["stderr"]
        while self._open:
            question, word = self._open[0]
            said = f"invalid keyword: {word}\n".encode()
            begin, end = (f"{PROMPT}{text}\n".encode() for text in (question, word))
            if not (_begins(out, begin) and _begins(err, said)):
                raise Doubt(f"it printed {_shown(out, begin)} and said {_shown(err, said)}")
            cut = out.find(end, len(begin)) if len(err) >= len(said) else -1
            if cut < 0:
                return False
            answer = out[len(begin) : cut]
            if PROMPT.encode() in answer or not (answer.endswith(b"\n") or not answer):
                raise Doubt(f"its answer is not one, or not whole: {_shown(answer, b'')}")
            self._answers.append(answer.decode("utf-8", "backslashreplace"))
            del out[: cut + len(end)], err[: len(said)]
            self._open.popleft()
        if err or not _begins(out, PROMPT.encode()) or len(out) > len(PROMPT):
            raise Doubt(f"it printed {_shown(out, b'')} and said {_shown(err, b'')} unasked")
        return True

    def _take(self, seconds: float) -> bool:
        """Read what is there, after so many seconds at most; return False if there is nothing."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            part = os.read(key.fd, _CHUNK)
            if not part:
                raise Doubt("it ended")
            self._printed[key.data] += part
            if len(self._printed[key.data]) > OUTPUT:
                raise Doubt(f"it printed more than {OUTPUT >> 20} MiB")
        return bool(ready)


def _begins(printed: bytearray, wanted: bytes) -> bool:
    """Return True if what was printed begins as wanted, as far as it goes."""
    return wanted.startswith(bytes(printed[: len(wanted)]))


def _shown(printed: bytearray, wanted: bytes) -> str:
    return repr(bytes(printed[: len(wanted) + 80]))[:200]
