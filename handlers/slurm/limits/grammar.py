"""How limits are written: one text, or several, into words of a key, an operator and a value.

Promises: the parser takes texts of people, portals and `sacctmgr dump` apart as they are meant.
Colons separate words, as in a dump, or blanks, as on sacctmgr's command line; quotes protect both;
a colon inside a value (`MaxWall=24:00:00`, `gres/gpu:tesla=4`) stays.
Leaves out: which keys exist (`keys`), and what values mean (`values`). Sources: sacctmgr(1), "FLAT
FILE DUMP AND LOAD"; Slurm's _parse_options and parse_option_end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BEGINS = re.compile(r"\s*[A-Za-z_]+\s*[+-]?=")
_WORD = re.compile(r"\s*([^=]*?)\s*([+-]?=)(.*)\Z", re.DOTALL)
_QUOTES = "\"'"
_BETWEEN = ": \t\r\n"


@dataclass(frozen=True, slots=True)
class Word:
    """One word. operator: '=', '+=' or '-='; '' if there is none, and then value is ''."""

    written: str
    key: str
    operator: str
    value: str


def words(text: str) -> list[Word]:
    """Return the words of a text."""
    return [_word(part) for part in _parts(text)]


def _word(part: str) -> Word:
    match = _WORD.match(part)
    if match is None:
        return Word(part, part, "", "")
    key, operator, value = match.groups()
    return Word(part, key, operator, unquoted(value.strip()))


def unquoted(value: str) -> str:
    """Return a value without quotes, also one kind inside the other: a portal may add its own."""
    while len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
        value = value[1:-1].strip()
    return value


def _parts(text: str) -> Iterator[str]:
    """Yield the parts between the ends of words, without empty ones."""
    start = 0
    for end in _ends(text):
        part = text[start:end].strip(" \t\r\n:")
        if part:
            yield part
        start = end + 1


def _ends(text: str) -> Iterator[int]:
    """Yield the colons and blanks that end a word, and the end of the text."""
    quote = ""
    start = 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES and text[at - 1 : at] == "=":
            # A quote inside a value, as in `Description=O'Brien`, opens nothing.
            quote = letter
        elif (
            letter in _BETWEEN and _BEGINS.match(text, at + 1) and _is_whole(text[start:at], letter)
        ):
            yield at
            start = at + 1
    yield len(text)


def _is_whole(word: str, letter: str) -> bool:
    """Return True if a word ends before a letter and what may be another `KEY=`.

    `GrpTRES=cpu=1,gres/gpu` has no amount yet: a `:tesla=4` that follows is a type of gpu. A blank
    after a comma belongs to a list: `GrpTRES=cpu=1, mem=2G`.
    """
    if letter != ":" and word.endswith(","):
        return False
    last = word.partition("=")[2].rpartition(",")[2]
    return "/" not in last or "=" in last
