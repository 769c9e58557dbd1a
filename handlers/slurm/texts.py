"""An account's texts: what Slurm holds, and whether a wanted text is what it shows.

Promises: pure. Leaves out: limits (`limits.limits`).
"""

from __future__ import annotations

import re

from provisioner.contract import Adapted, line

LONGEST = 500
"""The most characters of a description; Slurm 22.05.8 keeps as many, in any script."""

_UNTAKEN = str.maketrans("\"'|", "   ")


def as_held(value: str, longest: int) -> Adapted:
    """Return a text without what sacctmgr would interpret.

    sacctmgr removes quotes; an apostrophe would end the text, and a bar ends a column; of
    `description==x` it removes one `=` (22.05.8).
    """
    plain = line(value.translate(_UNTAKEN).lstrip(" ="), longest)
    if plain.text == line(value, longest).text:
        return plain
    said = "without quotes, bars, and `=` at its beginning"
    return Adapted(plain.text, f"{plain.remark}, {said}" if plain.remark else said)


def same_text(want: str, seen: str) -> bool:
    """Return True if a wanted text is what Slurm shows: Slurm lower-cases it, and its database may
    keep `?` in place of a character that it cannot hold."""
    want, seen = want.lower(), seen.lower()
    return want == seen or ("?" in seen and _lossy(want) == _lossy(seen))


def _lossy(text: str) -> str:
    return re.sub(r"(?:[^\x00-\x7f]|\?)+", "?", text)
