"""Sizes as requests write them and as GPFS keeps them.

Promises: sizes in bytes from text, KiB for the mm commands, and comparison that knows that GPFS
rounds limits up. Pure.
Leaves out: quotas of users and groups.
"""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d{1,18})(?:\.(\d{1,3}))?\s*([kmgtp]?)(i?)(b?)\s*\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

INODE_STEP = 1024
"""Inode limits are rounded up to a multiple of this (read from samples; some sites keep less)."""

MAX_BLOCK_KIB = 999_999_999_999_999
"""The largest block limit mmsetquota takes, in KiB."""


def parse_size(value: object) -> object:
    """Turn a size such as `5TiB`, `500 GB` or `1073741824` into bytes.

    `KiB` and `K` count by 1024, `kB` by 1000. What is no text is returned as it came, for the
    schema to judge. Raises ValueError naming what would be right.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.match(value)
    if match is None or (match[4] and not match[3]):
        raise ValueError(f"{value!r} is no size; write bytes, or a size such as 5TiB or 500 GB")
    whole, part, letter, binary, byte = match.groups()
    base = 1000 if byte and letter and not binary else 1024
    unit: int = base ** _POWERS[letter.lower()]
    return int(whole) * unit + (int(part) * unit // 10 ** len(part) if part else 0)


def kib(size: int) -> int:
    """Give bytes in KiB, rounded up."""
    return -(-size // 1024)


def round_up(number: int, step: int) -> int:
    """Round a number up to a multiple of step (at least 1)."""
    step = max(step, 1)
    return -(-number // step) * step


def fits(found: int, wanted: int, step: int) -> bool:
    """Say whether a limit that was read is the wanted one, rounded up to step or not."""
    return wanted <= found <= round_up(wanted, step)


def size_text(in_kib: int) -> str:
    """Write a size in KiB for a person: `5 TiB`, `1536 MiB`."""
    number, unit = in_kib, "KiB"
    for larger in ("MiB", "GiB", "TiB", "PiB"):
        if number == 0 or number % 1024:
            break
        number, unit = number // 1024, larger
    return f"{number} {unit}"
