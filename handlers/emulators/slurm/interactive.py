"""Emulated `sacctmgr` without a command: it reads commands from its standard input.

Promises: what slurm-wlm 22.05.8, 24.11.5 and 26.05.5 print when their input is a pipe and COLUMNS
is larger than any line: the prompt, the line as it was read, and the answer; and on the standard
error, what is wrong with it. Like them it keeps the names of QOS and of resources from its first
question about associations, and prints none that came later. With `-i` it also writes; it ends with
its input, and its exit code is 1 if a command was refused. Leaves out: writing without `-i`.
"""

from __future__ import annotations

import os
import sys

from handlers.emulators.slurm import sacctmgr
from handlers.emulators.slurm.slurmdbd import Slurmdbd, opened

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from typing import Any

    Names = tuple[list[str], list[str]]

PROMPT = "sacctmgr: "
_VERBS = ("show", "add", "modify", "delete")


def converse(state: str, *, immediate: bool = False) -> int:
    """Answer commands until there are no more; return the exit code. immediate: it may write."""
    names: Names | None = None
    code = 0
    while True:
        sys.stdout.write(PROMPT)
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stdout.write("\n")
            return code
        sys.stdout.write(_repeated(line))
        words = line.split()
        try:
            writes = immediate and words[:1] != ["show"]
            with opened(state, write=writes) as data:
                if words[:2] == ["show", "assoc"]:
                    names = names or (data.qos, data.tres)
                    _overlook(data, *names)
                _run(data, words, _VERBS if immediate else ("show",))
        except sacctmgr.Refused as refused:
            sys.stderr.write(f"{refused}\n")
            sys.stderr.flush()
            code = 1


def _repeated(line: str) -> str:
    """Return a line as readline shows it: one that is wider than the terminal is scrolled."""
    over = len(PROMPT) + len(line) - int(os.environ.get("COLUMNS", "80"))
    return f"\r<{line[over + 2 :]}" if over > 0 else line


def _run(data: Slurmdbd, words: list[str], verbs: tuple[str, ...]) -> None:
    if words and words[0] in verbs:
        sacctmgr.run(data, words)
    elif words:
        raise sacctmgr.Refused(f"invalid keyword: {words[0]}")


def _overlook(data: Slurmdbd, qos: list[str], tres: list[str]) -> None:
    """Leave out of associations what has a name that is not known."""
    for row in data.matching():
        limits: dict[str, Any] = row["limits"]
        for name, value in limits.items():
            if name == "qos":
                limits[name] = {
                    sign: [one for one in some if one in qos] for sign, some in value.items()
                }
            elif name == "defaultqos" and value not in qos:
                limits[name] = f"UNKN-{data.qos.index(value) + 1}"
            elif isinstance(value, dict):
                limits[name] = {one: number for one, number in value.items() if one in tres}
