"""Documents: safe YAML in, with the line of every key; plain YAML out.

Promises: a hostile text is refused with everything known about why, without recursion, in bounded
time and memory; every leaf stays the text that was written. Leaves out: what keys mean (`request`,
`config`).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import yaml

from provisioner.contract import InvalidRequest
from provisioner.contract.texts import phrase
from provisioner.contract.validation import LONGEST
from provisioner.plain.values import value
from provisioner.request import encodings, syntax
from provisioner.request.places import MOST, Path, Problem, advised, dotted, in_order

__all__ = ["Document", "InvalidDocument", "Problem", "advised", "dump", "in_order", "parse"]

SIZE = 64 * 1024
"""The most bytes of a request."""

DEPTH = 32
"""The most levels: PyYAML's C loader crashes on nested brackets when it composes recursively."""

EVENTS = 10_000
"""The most events of a document."""

KEY = 500
"""The most characters of a key: each mistake below it repeats it."""


class InvalidDocument(InvalidRequest):
    """A document with all its mistakes.

    document: the part that could be read nonetheless, so that its other mistakes can be reported,
    too.
    """

    def __init__(self, problems: Sequence[Problem], document: Document | None = None) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.document = document


@value(frozen=True, slots=True)
class Document:
    """A mapping with text leaves; lines: 1-based line of each key and item, by path."""

    value: dict[str, Any]
    lines: Mapping[Path, int]


def parse(
    data: bytes, *, size: int = SIZE, expected: str = "a mapping of keys and values"
) -> Document:
    """Return one YAML or JSON document whose top is a mapping.

    size: most bytes; expected: what the error for an empty file tells its writer to write. Raises
    InvalidDocument for anything else, or for a dangerous document.
    """
    text = _text(data, size, expected)
    try:
        document = _build(text)
    except InvalidDocument as error:
        if not (blank := _odd_blank(text)) or blank in error.problems:
            raise
        raise InvalidDocument([blank, *error.problems], error.document) from None
    if document is None:
        raise _refuse(1, "there is no document", expected)
    return document


_ODD = "\u00a0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
"""Characters that editors and portals insert for a blank, and invisible ones."""

_ODD_KEY = re.compile(f"[{_ODD}]")
_ODD_PLACE = re.compile(rf"^[ -]*[\"']?([{_ODD}])|:([{_ODD}])", re.MULTILINE)


def _odd_blank(text: str) -> Problem | None:
    """Return a problem for a character before a key, or after its colon, that only looks like a
    blank."""
    match = _ODD_PLACE.search(text)
    if match is None:
        return None
    return _odd(text.count("\n", 0, match.start()) + 1, match[1] or match[2])


def _odd(line: int, character: str) -> Problem:
    name = unicodedata.name(character, "an invisible character").lower()
    said = f"{name} (U+{ord(character):04X}), which only looks like a blank, or is invisible"
    return Problem(line, "", said, "plain spaces around keys, and none in them")


def _text(data: bytes, size: int, expected: str) -> str:
    if len(data) > size:
        raise _refuse(None, f"the file has more than {size} bytes", f"at most {size}")
    if not data.strip():
        raise _refuse(1, "the file is empty", expected)
    wrong = encodings.wrong(data)
    if wrong is not None:
        raise _refuse(*wrong)
    return data.decode("utf-8-sig")


def _refuse(line: int | None, message: str, expected: str = "", key: str = "") -> InvalidDocument:
    return InvalidDocument([Problem(line, key, message, expected)])


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read; key: the one whose value comes next."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None


_PLAIN_NULL = {"", "~", "null", "Null", "NULL"}


def _build(text: str) -> Document | None:
    loader = yaml.CSafeLoader(_joined(text))
    try:
        return _Builder().build(loader)
    except yaml.reader.ReaderError as error:
        at = text.encode().count(b"\n", 0, error.position) + 1
        what = f"this is not YAML: {error.reason}: #x{error.character:04x}"
        raise _refuse(at, what, "UTF-8 text") from None
    except yaml.YAMLError as error:
        raise _not_yaml(text, error) from None
    finally:
        loader.dispose()


def _not_yaml(text: str, error: yaml.YAMLError) -> InvalidDocument:
    mark, begun = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
    line = mark.line + 1 if mark is not None else None
    why = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None) or ""
    if line is not None:
        began = begun.line + 1 if begun is not None else None
        if told := syntax.explained(text, line, why, context, began):
            return _refuse(told[0], f"this is not YAML: {told[1]}", told[2])
    return _refuse(line, f"this is not YAML: {why}", "a mapping of keys and values")


_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


def _joined(text: str) -> str:
    """Return text with each surrogate pair of JSON escapes as one escape."""
    if "\\u" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text

    def join(found: re.Match[str]) -> str:
        high, low = int(found[2], 16), int(found[3], 16)
        return f"{found[1]}\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08x}"

    return _PAIR.sub(join, text)


_STARTS = {yaml.MappingStartEvent, yaml.SequenceStartEvent}
_ENDS = {yaml.MappingEndEvent, yaml.SequenceEndEvent}


def _check_tag(tag: str | None, line: int) -> None:
    if tag is not None and tag != "!":
        raise _refuse(line, f"tag {phrase(tag, LONGEST)}", "no tags: every value is text")


class _Builder:
    """Builds a tree from events, one at a time."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.root: dict[str, Any] | None = None

    def build(self, loader: Any) -> Document | None:
        """Read events until the stream ends; return None if there was no document."""
        documents = 0
        for count in range(EVENTS + 1):
            event: Any = loader.get_event()
            line = event.start_mark.line + 1
            kind = type(event)  # the loader makes exactly these types
            if kind is yaml.ScalarEvent:
                self._scalar(event, line)
            elif kind in _STARTS:
                self._start(event, line)
            elif kind in _ENDS:
                self.stack.pop()
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise _refuse(line, "a second document begins", "one")
            elif kind is yaml.AliasEvent:
                raise _refuse(line, f"alias *{phrase(event.anchor, LONGEST)}", "no aliases")
            elif kind is yaml.StreamEndEvent:
                break
            if count == EVENTS:
                raise _refuse(None, f"more than {EVENTS} keys and values", f"at most {EVENTS}")
        if self.problems:
            read = None if self.root is None else Document(self.root, self.lines)
            raise InvalidDocument(self.problems, read)
        return None if self.root is None else Document(self.root, self.lines)

    def _start(self, event: Any, line: int) -> None:
        _check_tag(event.tag, line)
        value: dict[str, Any] | list[Any] = {} if type(event) is yaml.MappingStartEvent else []
        if len(self.stack) >= DEPTH:
            raise _refuse(line, f"more than {DEPTH} levels", f"at most {DEPTH}")
        path = self._put(value, line)
        self.stack.append(_Open(value, path))

    def _scalar(self, event: Any, line: int) -> None:
        _check_tag(event.tag, line)
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            key = event.value
            if len(key) > KEY:
                raise _refuse(line, f"a key has {len(key)} characters", f"at most {KEY}")
            if not event.style and (odd := _ODD_KEY.search(key)):
                raise InvalidDocument([_odd(line, odd[0])])
            if key in top.value:
                first = self.lines[(*top.path, key)]
                why = f"the key is here and in line {first}"
                place = dotted((*top.path, key))
                self.problems.append(Problem(line, place, why, "each key once"))
                if len(self.problems) > MOST:
                    raise InvalidDocument(in_order(self.problems))
            else:
                self.lines[(*top.path, key)] = line
            top.key = key
            return
        plain = event.style is None or event.style == ""
        absent = plain and event.implicit[0] and event.value in _PLAIN_NULL
        self._put(None if absent else event.value, line)

    def _put(self, value: Any, line: int) -> Path:
        """Put a value in its place; return its path."""
        if not self.stack:
            if not isinstance(value, dict):
                raise _refuse(line, "the document is not a mapping", "`key: value` lines")
            self.root = value
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            path = (*top.path, len(top.value))
            top.value.append(value)
            self.lines[path] = line
            return path
        if top.key is None:
            raise _refuse(line, "a key that is a mapping or a list", "text as key")
        path = (*top.path, top.key)
        top.value.setdefault(top.key, value)
        top.key = None
        return path


# Writing.

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_/.+@-]*(?: [A-Za-z0-9_/.+@(-][A-Za-z0-9_/.+@()-]*)*\Z")
_NOT_ASCII = re.compile(r"[^ -~]")
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def dump(value: object) -> str:
    """Return plain data as block-style YAML, which any YAML 1.1 loader reads back unchanged.

    value: mappings with text keys, sequences, text, numbers, booleans, None, aware datetimes (as
    text). Half of a surrogate pair, which YAML cannot hold, becomes the text of its escape. Raises
    TypeError for anything else.
    """
    lines: list[str] = []
    _emit(value, "", lines, "")
    return "\n".join(lines) + "\n"


_PLAIN_DATA = (int, float, type(None), list, tuple)
"""Asked first: to ask whether a value is a Mapping takes long."""


def _emit(value: object, indent: str, lines: list[str], lead: str) -> None:
    """Write a value; lead: the beginning of its first line (`key:` or `-`)."""
    if isinstance(value, str):
        text = _string(value)
        lines.append(f"{lead} {text}" if lead else f"{indent}{text}")
    elif value and (
        isinstance(value, dict)
        or (not isinstance(value, _PLAIN_DATA) and isinstance(value, Mapping))
    ):
        first = lead
        if lead and not lead.endswith("-"):
            lines.append(lead)
            first = ""
        for key, inner in value.items():
            head = f"{first} " if first else indent
            if isinstance(inner, str):  # as most are
                lines.append(f"{head}{_string(str(key))}: {_string(inner)}")
            else:
                _emit(inner, indent + "  ", lines, f"{head}{_string(str(key))}:")
            first = ""
    elif isinstance(value, list | tuple) and value:
        if lead:
            lines.append(lead)
        for inner in value:
            _emit(inner, indent + "  ", lines, f"{indent}-")
    else:
        text = _scalar(value)
        lines.append(f"{lead} {text}" if lead else f"{indent}{text}")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xD800 <= code <= 0xDFFF:
        return f"\\\\u{code:04x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _string(value: str) -> str:
    # A long one does not come again, and thousands of them would fill the memory.
    return _known(value) if len(value) <= KEY else _written(value)


def _written(value: str) -> str:
    if _PLAIN.match(value) and value.lower() not in _RESERVED:
        return value
    return _NOT_ASCII.sub(_escaped, _quoted(value))


_known = lru_cache(maxsize=4096)(_written)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            text = repr(value)
            mantissa, exponent, power = text.partition("e")
            if exponent:
                point = mantissa if "." in mantissa else mantissa + ".0"
                return f"{point}e{power if power[0] in '+-' else '+' + power}"
            return text
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    if isinstance(value, datetime):
        return json.dumps(value.isoformat())
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    raise TypeError(f"{type(value).__name__} is not plain data")
