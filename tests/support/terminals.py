"""A terminal, as a person has it: what a program draws there, and what stands there at its end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Drawn:
    """What a program drew, as it came, and its exit code."""

    code: int
    raw: str

    @property
    def frames(self) -> list[str]:
        """Return each line that stood on the screen for a moment, without its colours."""
        parts = re.split(r"[\r\n]+", self.raw)
        return [text for part in parts if (text := _CONTROL.sub("", part).strip())]

    @property
    def screen(self) -> list[str]:
        """Return the lines that stand on the screen at the end, as far as bars move the cursor."""
        lines, row = [""], 0
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.raw):
            if part == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif part == "\x1b[2K":
                lines[row] = ""
            elif part == "\x1b[1A":
                row -= 1
            elif part[0] not in "\x1b\r":
                lines[row] += part
        return [line for line in lines if line]


def on_terminal(
    words: Sequence[str], environment: Mapping[str, str], answer: str = "", columns: int = 100
) -> Drawn:
    """Run a program to its end with a terminal. answer: what its person types."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    whole = {**os.environ, "TERM": "xterm", **environment}
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=whole)
    os.close(theirs)
    os.write(ours, answer.encode())
    parts = []
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux says EIO when the last writer is gone
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    return Drawn(process.wait(), b"".join(parts).decode())
