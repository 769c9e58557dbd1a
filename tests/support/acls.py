"""ACLs as getfacl(1) reads them: an independent reading of what the host has set."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

AS_ROOT = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("getfacl") is None, reason="needs root and getfacl"
    ),
]
"""For tests that give directories to others; where the lab is installed, none is left out."""


def getfacl(path: Path) -> set[str]:
    """Return the entries of a directory's ACLs, without effective rights."""
    argv = [
        "getfacl",
        "--omit-header",
        "--numeric",
        "--absolute-names",
        "--no-effective",
        str(path),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {line for line in done.stdout.splitlines() if line}
