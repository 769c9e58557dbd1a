"""The test suite: its minutes, beside those that its processes compute."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Aim, Figure, Run, Setting

ROOT = Path(__file__).parents[2]


def rounds(setting: Setting) -> Iterator[Run]:
    """Yield the minutes of all tests, and what their processes compute, on all cores.

    The lab's daemons, for which nobody waits, are not in it.
    """
    while True:
        began, before = time.monotonic(), _computed()
        environment = {**os.environ, "TMPDIR": str(setting.top)}
        command = [str(ROOT / "deploy/test"), str(Path(sys.executable).parent)]
        subprocess.run(command, check=True, env=environment)
        took, computed = time.monotonic() - began, _computed() - before
        yield Run(took / 60, computed / (os.cpu_count() or 1) / 60)


def _computed() -> float:
    """Return the seconds of a processor of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


FIGURES = (
    Figure(
        "tests",
        "make test",
        "what its processes compute, on all cores",
        "min",
        rounds,
        (Aim("value", 10.5, most=True),),
        rounds=1,
        named=True,
    ),
)
