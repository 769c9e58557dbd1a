"""A spool with something mounted on names in its staging directory, and what becomes of it.

Run as root, in a mount namespace of its own: `python -m tests.support.hostile_mounts TYPE OPTIONS
DIRECTORY` prints as JSON what each that looks at staging says. Of FUSE, no request is ever
answered; `OPTIONS` that end in `,ended` have it without a program.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner.contract import InvalidRequest
from provisioner.spool import leftovers, scan
from provisioner.spool.spool import Spool, Submission
from provisioner.spool.strikes import Strikes

ENDED = ",ended"
STALE = ".01JGT0V9Q3M4R5S6T7V8W9X0Y1.tmp"
NAMES = (STALE, "X", "mine.yaml", "theirs.yaml.sig", "users.jsonl")
"""The names that are mounted on."""


def mount(path: Path, kind: str, options: str) -> None:
    """Mount on a directory that is made."""
    path.mkdir()
    os.utime(path, (1, 1))
    data, kept = options.removesuffix(ENDED), -1
    if kind == "fuse":
        kept = os.open("/dev/fuse", os.O_RDWR)
        data = f"fd={kept},{data}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hostile", os.fsencode(path), kind.encode(), 0, data.encode()):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    if options.endswith(ENDED):
        os.close(kept)


def put(spool: Spool, name: str) -> None:
    """Put a file into staging that nobody has written to for long."""
    (spool.staging / name).write_bytes(b"a: b")
    (spool.staging / name).chmod(0o600)
    os.utime(spool.staging / name, (1, 1))


def said(call: Callable[..., object], *arguments: object) -> str:
    """Return the name and text of what a call raises; '' if nothing."""
    try:
        call(*arguments)
    except (OSError, InvalidRequest) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def taken(spool: Spool, name: str) -> Submission:
    """Take a file out of staging."""
    submission = spool.take(name)
    assert isinstance(submission, Submission)
    return submission


def main(kind: str, options: str, top: str) -> dict[str, Any]:
    """Return what is seen by what."""
    spool = Spool.create(Path(top) / "spool")
    for name in ("a.yaml", "b.yaml", "stray.txt", "theirs.yaml", "users.jsonl"):
        put(spool, name)
    struck = Strikes(spool.root)
    struck.strike((spool.staging / "b.yaml").stat(), 0.0, alone=True)
    struck.keep()
    theirs, companion = taken(spool, "theirs.yaml"), spool.companions.manifest("users.jsonl", 100)
    (spool.staging / "users.jsonl").unlink()
    for name in NAMES:
        mount(spool.staging / name, kind, options)
    Strikes(spool.root).keep()
    waiting = sorted(spool.waiting(10))
    due_in = spool.due_in()
    return {
        "the sweep": waiting,
        "the sweep's trouble": spool.trouble,
        "another look in a minute": due_in is not None and due_in > 50,
        "a strike": Strikes(spool.root).strike((spool.staging / "b.yaml").stat(), 0.0, alone=False),
        "taking it": spool.take("mine.yaml"),
        "taking others": [taken(spool, name).name for name in ("a.yaml", "b.yaml")],
        "a manifest": said(spool.companions.manifest, "users.jsonl", 100),
        "a signature": said(spool.companions.signature, theirs, 100),
        "a companion that is discarded": said(spool.companions.discard, companion),
        "a file after a power cut": spool.retake("done", theirs.ulid, "mine.yaml", 0, "", 0.0),
        "leftovers at a start": spool.remove_leftovers(),
        "leftovers of outsiders": list(leftovers.no_requests(spool.staging, time.time() + 10)),
        "doctor's strays": scan.passed_over(spool.root),
        "doctor's mounts": scan.covered(spool.root),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
