"""An account's texts: what Slurm holds of one, and when a wanted one is what it shows.

Promises: pure. Leaves out: limits (`limits.limits`).
"""

from __future__ import annotations

import re

from provisioner.contract import Adapted, line

LONGEST = 500
"""Characters of a description; Slurm 22.05.8 keeps them, of any letters."""

_UNTAKEN = str.maketrans("\"'|", "   ")


def as_held(value: str, longest: int) -> Adapted:
    """Leave out of a text what sacctmgr takes for its own.

    It takes quotes off; an apostrophe would end the text, and a bar ends a column; of
    `description==x` it takes one `=` (22.05.8).
    """
    plain = line(value.translate(_UNTAKEN).lstrip(" ="), longest)
    if plain.text == line(value, longest).text:
        return plain
    said = "without quotes, bars, and `=` at its beginning"
    return Adapted(plain.text, f"{plain.remark}, {said}" if plain.remark else said)


def same_text(want: str, seen: str) -> bool:
    """Say whether a wanted text is what Slurm shows: it lower-cases, and its database may keep `?`
    in place of what it has no letter for.
    """
    want, seen = want.lower(), seen.lower()
    return want == seen or ("?" in seen and _lossy(want) == _lossy(seen))


def _lossy(text: str) -> str:
    return re.sub(r"(?:[^\x00-\x7f]|\?)+", "?", text)
