"""An account's texts: when a wanted one is what Slurm shows.

Promises: pure. Leaves out: limits (`_slurm_limits`).
"""

from __future__ import annotations

import re


def same_text(want: str, seen: str) -> bool:
    """Say whether a wanted text is what Slurm shows: it lower-cases, and its database may keep `?`
    in place of what it has no letter for.
    """
    want, seen = want.lower(), seen.lower()
    return want == seen or ("?" in seen and _lossy(want) == _lossy(seen))


def _lossy(text: str) -> str:
    return re.sub(r"(?:[^\x00-\x7f]|\?)+", "?", text)
