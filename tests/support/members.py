"""A member of a project, who is not an admin, and the programs they run."""

from __future__ import annotations

import subprocess

MEMBER, GROUP = 2101, 3101


def as_member(*argv: str, group: int = GROUP) -> bool:
    """Run a program as a project's member; return True if it succeeded."""
    done = subprocess.run(
        argv, user=MEMBER, group=group, extra_groups=[], capture_output=True, check=False
    )
    return done.returncode == 0
