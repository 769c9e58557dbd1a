"""An emulated `getent passwd NAME` and `getent group NAME` over emulated directories.

Promises: the real program's output and exit codes (2 if a key is not found, 1 for an unknown
database), from the files of `directory`, read again at every call.
Leaves out: other databases, caches, and the machine's own users.
"""

from __future__ import annotations

import sys
from pathlib import Path

# -S and -I: no site packages, no environment; it starts in a third of the time.
_LAUNCHER = """\
#!{python} -IS
import sys
sys.path.insert(0, {root!r})
from handlers.emulators._getent_program import main
sys.exit(main([{count!r}, *{states!r}, *sys.argv[1:]]))
"""


def install(directory: Path, *states: Path) -> Path:
    """Write an executable `getent` for some directories' files, and return its path.

    states: files that `directory.create` made; the first that has a name answers.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "getent"
    values = {"python": sys.executable, "root": str(Path(__file__).parents[2])}
    given = [str(state) for state in states]
    text = _LAUNCHER.format(**values, count=str(len(given)), states=given)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program
