"""Texts that people type: titles, names, comments, and sizes such as `5TiB`.

Promises: one rule for all of them, from the format to the last handler. A text is one line of
visible characters: blanks of any kind and control characters become one blank; invisible characters
(soft hyphens, joiners, marks of direction, byte order marks, private use) are left out; a text that
is too long is cut, with an ellipsis. Nothing is refused, and the result says what changed. Only a
size has to be one. Leaves out: escaping for a filter, a DN or an argument, which the module that
writes those does.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LONGEST = 500
"""The most characters of a line that the format keeps."""

ELLIPSIS = "\u2026"

_MOST = 3
"""The most left-out characters that a remark names."""


def many(count: int, noun: str) -> str:
    """Return a number of things: `1 file`, `3,000 files`."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


@dataclass(frozen=True, slots=True)
class Adapted:
    """A text as it is kept. remark: what was changed, except blanks; '' for nothing."""

    text: str
    remark: str = ""


def phrase(text: str, longest: int = LONGEST) -> str:
    """Return a text as one line; longest: characters that it may have."""
    return line(text, longest).text


def line(text: str, longest: int = LONGEST) -> Adapted:
    """Return a text as one line, with a remark on what was changed."""
    if text.isascii() and text.isprintable():
        return _cut(" ".join(text.split()), "", longest)
    return _cut(" ".join(_seen(text).split()), _left_out(text), longest)


def lines(text: str, longest: int) -> Adapted:
    """Return a text of several lines, cleaned; line ends and tabs stay."""
    return _cut(_seen(text.replace("\r\n", "\n"), "\n\t"), _left_out(text), longest)


def _seen(text: str, kept: str = "") -> str:
    """Return a text without invisible characters, but with a blank where one separates words.

    kept: characters that stay.
    """
    return "".join(
        one if one.isprintable() or one in kept else " " if _parts(one) else "" for one in text
    )


def _parts(character: str) -> bool:
    """Return True if an invisible character separates words, as a line end does."""
    return character.isspace() or unicodedata.category(character) == "Cc"


def _left_out(text: str) -> str:
    """Return what a text loses besides blanks: `left out U+00AD`."""
    lost = list(dict.fromkeys(c for c in text if not c.isprintable() and not c.isspace()))
    if not lost:
        return ""
    more = f" and {len(lost) - _MOST} more" if len(lost) > _MOST else ""
    return f"left out {', '.join(f'U+{ord(one):04X}' for one in lost[:_MOST])}{more}"


def _cut(text: str, remark: str, longest: int) -> Adapted:
    if len(text) <= longest:
        return Adapted(text, remark)
    cut = f"shortened to {longest} of {len(text)} characters"
    return Adapted(text[: longest - 1].rstrip() + ELLIPSIS, f"{remark}, {cut}" if remark else cut)


# Sizes.

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
