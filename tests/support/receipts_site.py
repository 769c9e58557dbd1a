"""A directory of receipts that other users can reach, and what they can read there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from provisioner.contract import Json
from provisioner.outcome.receipts import Desk
from tests.support.directories import let_pass


def receipts_root(top: Path) -> Path:
    """Make a directory of receipts as the spool's is, below directories that others may pass."""
    let_pass(top)
    made = top / "receipts"
    made.mkdir()
    made.chmod(0o711)
    return made


def reads(path: Path, uid: int, gid: int) -> bool:
    """Return True if a user with one group reads a file."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            path.read_bytes()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def write(receipts: Path, writer: str, name: str, receipt: Mapping[str, Json]) -> None:
    """Write one receipt as the service does."""
    with closing(Desk(receipts)) as desk:
        desk.write(writer, name, receipt)
