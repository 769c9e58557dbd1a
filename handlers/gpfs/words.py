"""A fileset in words of people: sizes, modes, and what a smaller quota means.

Promises: pure. Leaves out: what is written (`plan`).
"""

from __future__ import annotations

from collections.abc import Sequence

from handlers.gpfs.state import Fileset, Wanted
from handlers.gpfs.terms.units import size_text
from handlers.gpfs.terms.usage import about


def described(fileset: Fileset) -> dict[str, str]:
    """Return what people ask about a fileset, each as they write it."""
    if not fileset.present:
        return {}
    use = fileset.usage
    space = size_text(fileset.block_hard) if fileset.block_hard else ""
    files = f"{fileset.files_hard:,}" if fileset.files_hard else ""
    said = {
        "quota": _of(about(use.block_usage) if use else "", space),
        "files": _of(f"{use.files_usage:,}" if use else "", files),
        "path": fileset.path or "not linked",
        "mode": f"{fileset.mode:04o}",
        "owner": f"{fileset.uid}:{fileset.gid}",
    }
    graces = (use.block_grace, use.files_grace) if use else ()
    over = [str(grace) for grace in graces if grace.expired or grace.left is not None]
    return {**said, "grace": over[0]} if over else said


def used(fileset: Fileset) -> dict[str, int]:
    """Return the use of space, in bytes, and of files; empty if it is not known."""
    use = fileset.usage if fileset.present else None
    if use is None:
        return {}
    return {"space": max(0, use.block_usage) * 1024, "files": max(0, use.files_usage)}


def removal(fileset: Fileset) -> list[list[str]]:
    """Return the commands that delete a fileset with its files (mmunlinkfileset, mmdelfileset)."""
    where = [fileset.filesystem, fileset.name]
    unlink = [["mmunlinkfileset", *where]] if fileset.linked else []
    return [*unlink, ["mmdelfileset", *where, "-f"]]


def _of(used: str, limit: str) -> str:
    """Return use and limit; '' for what is not known, or for no limit."""
    if not limit:
        return f"{used} (no limit)" if used else "no limit"
    return f"{used} of {limit}" if used else limit


def below_use(wanted: Wanted, fileset: Fileset) -> Sequence[str]:
    """Return a line for each limit that is wanted below what is in use."""
    use = fileset.usage
    if use is None or wanted.closed:
        return []
    lines = []
    if wanted.quota and use.block_usage > wanted.quota:
        lines.append(
            f"{about(use.block_usage)} in use, above the quota of {size_text(wanted.quota)}: "
            "nobody can write until files are removed"
        )
    if wanted.files and use.files_usage > wanted.files:
        lines.append(
            f"{use.files_usage:,} {'file' if use.files_usage == 1 else 'files'} in use, "
            f"above the quota of {wanted.files:,}: "
            "nobody can make files until some are removed"
        )
    return lines


def cuts(wanted: Wanted, fileset: Fileset) -> bool:
    """Return True if a limit would shrink, or be set, below what is in use."""
    pairs = ((wanted.quota, fileset.block_hard), (wanted.files, fileset.files_hard))
    shrinks = any(will and (not was or will < was) for will, was in pairs)
    return shrinks and bool(below_use(wanted, fileset))
