"""What is mounted on names in staging: nobody else's files wait for it, and nothing asks it.

Whoever may drop files may mount a file system of their own on a directory or file of theirs (FUSE).
The kernel then refuses everybody else, root too, or asks a program that need not answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.hostile_mounts import ENDED, NAMES
from tests.support.spool_files import root_only

OF_USER = "rootmode=40000,user_id=54321,group_id=54321"
FUSE = pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="this kernel has no FUSE")

KINDS = [
    pytest.param("tmpfs", "mode=700", id="of root's"),
    pytest.param("fuse", OF_USER, id="refuses everybody else", marks=FUSE),
    pytest.param("fuse", f"{OF_USER},allow_other{ENDED}", id="its program ended", marks=FUSE),
    pytest.param("fuse", f"{OF_USER},allow_other", id="never answers", marks=FUSE),
]

WANTED: dict[str, Any] = {
    "the sweep": ["a.yaml", "b.yaml"],
    "the sweep's trouble": "",
    "another look in a minute": True,
    "a strike": 1,
    "taking it": None,
    "taking others": ["a.yaml", "b.yaml"],
    "a manifest": "InvalidRequest: users.jsonl cannot be read: [Errno 18] a file system is mounted "
    "on it: umount it: 'users.jsonl'",
    "a signature": "NotThere: theirs.yaml.sig belongs to somebody else, and cannot be read",
    "a companion that is discarded": "",
    "a file after a power cut": False,
    "leftovers at a start": 0,
    "leftovers of outsiders": [["stray.txt", 0]],
    "doctor's strays": ["stray.txt"],
    "doctor's mounts": list(NAMES),
}


@pytest.mark.root
@root_only
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_what_is_mounted_in_staging_is_passed_over(kind: str, options: str) -> None:
    program = [sys.executable, "-m", "tests.support.hostile_mounts", kind, options]
    with TemporaryDirectory(prefix="mounted-") as top:
        # In a mount namespace of its own, which ends with the program: nothing of it is left.
        done = subprocess.run(
            ["unshare", "--mount", *program, top],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,  # what asks a mount that never answers is killed then
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == WANTED
