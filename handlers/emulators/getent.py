"""An emulated `getent passwd NAME` and `getent group NAME` over emulated directories.

Promises: the real program's output and exit codes (2 if a key is not found, 1 for an unknown
database), from the files of `directory`, read again at every call. The installed program needs only
the standard library.
Leaves out: other databases, caches, and the machine's own users.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_PROGRAM = Path(__file__).with_name("_getent_program.py")


def install(directory: Path, *states: Path) -> Path:
    """Write an executable `getent` for some directories' files, and return its path.

    states: files that `directory.create` made; the first that has a name answers.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "getent"
    given = " ".join(shlex.quote(str(state)) for state in states)
    # -S and -I: no site packages, no environment; it starts in a third of the time.
    program.write_text(
        f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(_PROGRAM))}"
        f' {len(states)} {given} "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return program
