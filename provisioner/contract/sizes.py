"""Sizes: `5TiB`, `500 GB` and plain bytes, to and from numbers of bytes."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTPE", 1):
    _UNITS[f"{_letter}iB"] = 1024**_power
    _UNITS[f"{_letter}B"] = 1000**_power

_SIZE = re.compile(r"\s*(\d+)(?:\.(\d+))?\s*([A-Za-z]*)\s*\Z", re.ASCII)

_LONGEST = 50
"""The most characters of a size: it may come from anybody, and is compared before it is read."""

EXPECTED = "a size such as 5TiB, 500 GB, or a number of bytes"


def parse_size(text: str | int) -> int:
    """Return the bytes of a size; `TB` is 1000-based, `TiB` 1024-based (IEC 80000-13).

    A size that is not a whole number of bytes, such as `1.1TiB`, is rounded up. Raises ValueError
    for anything else, also for `5T`, which some count by 1000 and some by 1024.
    """
    if isinstance(text, int):
        return text
    if len(text) > _LONGEST:
        raise ValueError(f"a text of {len(text)} characters is not a size; expected {EXPECTED}")
    match = _SIZE.match(text)
    units = {unit.lower(): factor for unit, factor in _UNITS.items()}
    if match is None or match[3].lower() not in units:
        raise ValueError(f"{text!r} is not a size; expected {_meant(text) or EXPECTED}")
    factor = units[match[3].lower()]
    whole, fraction = match[1], match[2] or ""
    if fraction and factor == 1:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(-(-int(whole + fraction) * factor // 10 ** len(fraction)))


def _meant(text: str) -> str:
    """Return how a text that is almost a size should be written; '' if that is unclear."""
    match = re.fullmatch(
        r"\s*(\d+)(?:[.,](\d+))?\s*([KMGTPE])(i?B?)\s*", text, re.ASCII | re.IGNORECASE
    )
    if match is None:
        return ""
    number, letter = match[1] + (f".{match[2]}" if match[2] else ""), match[3].upper()
    match match[4].lower():
        case "ib" | "i":
            return f"{number}{letter}iB"
        case "b":
            return f"{number}{letter}B"
        case _:
            return f"{number}{letter}iB (by 1024) or {number}{letter}B (by 1000)"


def format_size(size: int) -> str:
    """Return bytes as text in the largest 1024-based unit that leaves at most two decimals."""
    for power in range(6, 0, -1):
        factor = 1024**power
        if size >= factor and (size * 100) % factor == 0:
            whole, hundredths = divmod(size * 100 // factor, 100)
            number = f"{whole}.{hundredths:02d}".rstrip("0").rstrip(".")
            return f"{number} {'KMGTPE'[power - 1]}iB"
    return f"{size} B"
