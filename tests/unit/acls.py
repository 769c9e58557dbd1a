"""ACLs as getfacl(1) reads them: another's words for what the host has set."""

from __future__ import annotations

import subprocess
from pathlib import Path


def getfacl(path: Path) -> set[str]:
    """Give the entries of a directory's ACLs, without what they come to."""
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
