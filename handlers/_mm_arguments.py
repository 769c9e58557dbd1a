"""Arguments of mm commands that write, and what a command that failed leaves behind. Pure.

Leaves out: running them (`_mm`), and when (`_mm_plan`).
"""

from __future__ import annotations

from provisioner.contract import Change, Fault, Permanent


def not_linked(change: Change, fault: Fault, device: str) -> Permanent:
    """Say of a fileset that was made and could not be linked that it is there."""
    name = change.data["name"]
    return Permanent(
        f"{change.key}: the fileset {name} is there, and is not linked: {fault.message}",
        advice="mend it, then `provisioner retry`, which goes on with this fileset; to give it up: "
        f"mmdelfileset {device} {name}",
    )


def inode_space(parent: str | None, limit: int | None) -> tuple[str, ...]:
    if parent is not None:
        return () if parent == "root" else ("--inode-space", parent)
    return ("--inode-space", "new", *(("--inode-limit", str(limit)) if limit else ()))


def limits(quota: int | None, files: int | None) -> tuple[str, ...]:
    """Write soft and hard limits as one and the same; space in KiB, as GPFS keeps it."""
    block = ("--block", f"{quota}K:{quota}K") if quota is not None else ()
    return (*block, *(("--files", f"{files}:{files}") if files is not None else ()))
