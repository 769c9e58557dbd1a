"""Texts that people type: titles, names, comments; made what every backend can hold.

Promises: one rule for all of them, from the format to the last handler. A text is one line of
characters that can be seen: blanks of any kind are one blank, control characters too; what is
invisible (soft hyphens, joiners, marks of direction, byte order marks, private use) is left out;
what is too long is cut, with an ellipsis. Nothing is refused, and what was changed can be told.
Leaves out: escaping for a filter, a DN or an argument, which is for whoever writes these.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

LONGEST = 500
"""Characters of a line that the format keeps."""

ELLIPSIS = "\u2026"

_MOST = 3
"""Characters that were left out, and are named."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A text as it is kept. said: what was changed, beside blanks; '' for nothing."""

    text: str
    remark: str = ""


def phrase(text: str, longest: int = LONGEST) -> str:
    """Make one line of a text; longest: characters it may have."""
    return line(text, longest).text


def line(text: str, longest: int = LONGEST) -> Adapted:
    """Make one line of a text, and say what was changed of it."""
    if text.isascii() and text.isprintable():
        return _cut(" ".join(text.split()), "", longest)
    return _cut(" ".join(_seen(text).split()), _left_out(text), longest)


def lines(text: str, longest: int) -> Adapted:
    """Clean a text of several lines, whose line ends and tabs stay."""
    return _cut(_seen(text.replace("\r\n", "\n"), "\n\t"), _left_out(text), longest)


def _seen(text: str, kept: str = "") -> str:
    """Leave out what cannot be seen, but put a blank where it parts words.

    kept: characters that stay as they are.
    """
    return "".join(
        one if one.isprintable() or one in kept else " " if _parts(one) else "" for one in text
    )


def _parts(character: str) -> bool:
    """Return True if a character that is not shown parts words, as a line end does."""
    return character.isspace() or unicodedata.category(character) == "Cc"


def _left_out(text: str) -> str:
    """Name what a text loses beside blanks: `left out U+00AD`."""
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
