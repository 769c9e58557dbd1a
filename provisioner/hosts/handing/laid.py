"""Laid: files in staging that are complete, and not taken before whoever laid them says so.

Promises: what `lay` returned from survives a power cut; `show` gives it its name. Who lays has
names of its own, so that nobody else's file is shown or withdrawn. Leaves out: whose turn it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from provisioner.system.disks import flush


def lay(staging: Path, name: str, by: str, body: bytes) -> None:
    """Write a file that nobody takes yet, or write it again. Raises OSError."""
    path = _hidden(staging, name, by)
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as writing:
        writing.write(body)
        writing.flush()
        os.fsync(file)
    flush(staging)


def show(staging: Path, name: str, by: str) -> bool:
    """Have it taken. Return False if it is not there: it was shown, or staging is another directory
    since. Raises OSError."""
    try:
        _hidden(staging, name, by).rename(staging / name)
    except FileNotFoundError:
        return False
    flush(staging)
    return True


def withdraw(staging: Path, name: str, by: str) -> None:
    """Remove it, if it is there. Raises OSError."""
    _hidden(staging, name, by).unlink(missing_ok=True)


def laid(staging: Path, by: str) -> Iterator[str]:
    """Yield the names of what one has laid and not shown."""
    end = _end(by)
    for path in staging.glob(f".*{end}"):
        yield path.name[1 : -len(end)]


def _hidden(staging: Path, name: str, by: str) -> Path:
    return staging / f".{name}{_end(by)}"


def _end(by: str) -> str:
    # A blank: no name of a host has one, and one may end like another's.
    return f" {by}.laid"
