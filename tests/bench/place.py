"""Where figures are measured: in memory, and on a disk.

Promises: what a round leaves is gone before the next, which no round waits for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = {"memory": Path("/dev/shm"), "disk": Path("/var/tmp")}


@contextmanager
def fresh(top: Path) -> Iterator[Path]:
    """Make a new directory below another, which others may pass through, and remove it after."""
    with tempfile.TemporaryDirectory(prefix="provisioner-bench.", dir=top) as made:
        Path(made).chmod(0o755)
        yield Path(made)
