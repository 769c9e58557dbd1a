"""Texts that people type: titles, names, comments; made into texts that every backend can hold.

Promises: one rule for all of them, from the format to the last handler. A text is one line of
visible characters: blanks of any kind and control characters become one blank; invisible characters
(soft hyphens, joiners, marks of direction, byte order marks, private use) are left out; a text that
is too long is cut, with an ellipsis. Nothing is refused, and the result says what changed. Leaves
out: escaping for a filter, a DN or an argument, which the module that writes those does.
"""

from __future__ import annotations

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
