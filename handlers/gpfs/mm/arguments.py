"""Arguments of mm commands that write, limits of what they take, and faults of failed ones. Pure.

Leaves out: running them (`mm.client`), and when (`plan`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import cast

from provisioner.contract import Change, Fault, Key, Permanent

MOST_FILES = 134_217_727
"""The largest limit of files, soft or hard, of clusters below release 5.1.3 (IBM, mmsetquota)."""


def refused(changes: Sequence[Change], release: Callable[[], str]) -> dict[Key, Fault]:
    """Return a fault for each quota that mmsetquota will refuse. release: returns
    minReleaseLevel."""
    files = {c.key: c.data["files"] for c in changes if c.verb == "set-quota"}
    most = {key: max(cast(Sequence[int], pair)) for key, pair in files.items() if pair}
    many = {key: n for key, n in most.items() if n > MOST_FILES}
    level = release() if many else ""
    if not re.fullmatch(r"\d+(\.\d+)+", level) or _numbers(level) >= (5, 1, 3):
        return {}
    return {
        key: Permanent(
            f"{key}: a quota of {n} files is more than {MOST_FILES}, the maximum of a cluster at "
            f"release {level}",
            advice=f"ask for at most {MOST_FILES}, or for none; or raise the cluster's level: "
            "`mmchconfig release=LATEST`",
        )
        for key, n in many.items()
    }


def _numbers(level: str) -> tuple[int, ...]:
    return tuple(map(int, level.split(".")))


def not_linked(change: Change, fault: Fault, device: str) -> Permanent:
    """Return the fault for a fileset that was created but could not be linked."""
    name = change.data["name"]
    return Permanent(
        f"{change.key}: the fileset {name} exists, but is not linked: {fault.message}",
        advice="fix that, then `provisioner retry`, which continues with this fileset; to give it "
        f"up: mmdelfileset {device} {name}",
    )


def inode_space(parent: str | None, limit: int | None) -> tuple[str, ...]:
    if parent is not None:
        return () if parent == "root" else ("--inode-space", parent)
    return ("--inode-space", "new", *(("--inode-limit", str(limit)) if limit else ()))


def limits(quota: Sequence[int] | None, files: Sequence[int] | None) -> tuple[str, ...]:
    """Return arguments for soft and hard limits; space in KiB, as GPFS keeps it. 0 is no limit."""
    block = ("--block", f"{quota[0]}K:{quota[1]}K") if quota is not None else ()
    return (*block, *(("--files", f"{files[0]}:{files[1]}") if files is not None else ()))
