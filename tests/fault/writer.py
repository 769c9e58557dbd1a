"""A writer that logs what it was told is in: `python -m tests.fault.writer ROOT LOG FIRST`.

Promises: a line `drop N` once `drop` has returned, a line `receipt N` once the receipt of a request
that was written without any flush is there to be read; nothing else is in the log. Every fifth
request has no `id`. It goes on until it is killed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from provisioner.spool.submit import drop

PAUSE, REST = 0.004, 0.06
"""Seconds after each request, and after each tenth: then nothing of the writer's is flushed, and
what the service does has to last by itself."""


def body(number: int) -> bytes:
    """Return a request; its steps need no backend."""
    identity = f"id: p{number}\n" if named(number) else ""
    return (
        f"provisioner: 1\naction: project.provision\n{identity}project: {{code: p{abs(number)}}}\n"
    ).encode()


def named(number: int) -> bool:
    """Return True if a request has an id of its own."""
    return number % 5 != 0


def plain(staging: Path, name: str, text: bytes) -> None:
    """Move a file in as an admin's `mv` does."""
    aside = staging / f".{name}.part"
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, text)
    os.close(file)
    aside.rename(staging / name)


def main(root: Path, log: Path, first: int) -> None:
    """Write requests, numbered from `first`."""
    receipts = root / "spool/receipts/root"
    waiting: list[int] = []
    events = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    number = first
    while True:
        if number % 3 == 0 and named(number):
            plain(root / "spool/staging", f"{number}.yaml", body(number))
            waiting.append(number)
        else:
            drop(root / "spool/staging", f"{number}.yaml", body(number))
            os.write(events, f"drop {number}\n".encode())
        for one in [one for one in waiting if (receipts / f"p{one}.yaml").exists()]:
            os.write(events, f"receipt {one}\n".encode())
            waiting.remove(one)
        number += 1
        time.sleep(REST if number % 10 == 0 else PAUSE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
