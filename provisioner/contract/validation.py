"""Wording: what is wrong with a value, in our words instead of pydantic's.

Promises: no phrase and no class name of pydantic reaches a person; a value that may be of several
kinds gets one message. Leaves out: lines and keys of a file (`request`), and which error is raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake. kind: `missing`, `unknown` or `value`; loc: its place, for programs."""

    loc: Loc
    kind: str
    message: str
    expected: str = ""
    nearest: str = ""


_KINDS: Mapping[str, tuple[str, ...]] = {
    "text": ("string",),
    "whole number": ("int",),
    "number": ("float", "decimal", "finite"),
    "mapping of keys and values": ("model", "dict", "mapping", "dataclass"),
    "list": ("list", "tuple", "set", "frozen", "iterable"),
    "time": ("datetime", "date", "time"),
    "path": ("path",),
}
_LIMITS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda c: f"is below {c['ge']}",
    "greater_than": lambda c: f"is not above {c['gt']}",
    "less_than_equal": lambda c: f"is above {c['le']}",
    "less_than": lambda c: f"is not below {_power(c['lt'])}",
    "string_too_long": lambda c: f"has more than {c['max_length']} characters",
    "string_too_short": lambda c: _few(c, "characters"),
    "too_long": lambda c: f"has more than {c['max_length']} entries",
    "too_short": lambda c: _few(c, "entries"),
    "string_pattern_mismatch": lambda c: f"does not match {c['pattern']}",
    "timezone_aware": lambda c: "has no time zone",
    "timezone_naive": lambda c: "has a time zone",
}


def _few(context: Mapping[str, Any], what: str) -> str:
    least = context["min_length"]
    return "is empty" if least == 1 else f"has fewer than {least} {what}"


_OWN = ("value_error", "assertion_error")
_MEMBER = re.compile(r".*\[.*|constrained-\w+|str|int|float|bool|none|list|KnownAfter")
"""Parts of pydantic's locations that stand for the members of a union."""

LONGEST = 80
"""The most characters of a value that a message repeats."""


def of_keys(loc: Loc, last: bool) -> Loc:
    """Return a location without the members of a union, which are not keys.

    The first part is always a key; if `last` is true, the last part is one, too.
    """
    end = len(loc) - 1 if last else 0
    return tuple(
        part
        for number, part in enumerate(loc)
        if number in (0, end) or isinstance(part, int) or not _MEMBER.fullmatch(part)
    )


def wrongs(error: ValidationError, place: Callable[[Loc, bool], Loc] = of_keys) -> list[Wrong]:
    """Return what is wrong, each place once.

    place: makes keys of a location; its second argument is True if the last part surely is a key.
    If an earlier step may give the value instead, the message does not mention that.
    """
    details_of: dict[Loc, list[Any]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] != "is_instance_of":
            last = detail["type"] in ("missing", "extra_forbidden")
            details_of.setdefault(place(detail["loc"], last), []).append(detail)
    return [_one(loc, details) for loc, details in details_of.items()]


def _power(limit: int) -> str:
    return "2^63" if limit == 2**63 else str(limit)


def _one(loc: Loc, details: list[Any]) -> Wrong:
    """Return one mistake from what the members of a union say about a place."""
    mistakes = [_wrong(loc, detail) for detail in details]
    kinds = [_kind(detail) for detail in details]
    if None in kinds:  # one member accepts the value's kind, and says what is wrong
        return mistakes[kinds.index(None)]
    wanted = list(dict.fromkeys(map(str, kinds)))
    if len(wanted) == 1:
        return mistakes[0]
    text = f"is neither {' nor '.join(map(_a, wanted))}"
    return replace(mistakes[0], message=_shown(details[0], text))


def _kind(detail: Any) -> str | None:
    """Return which kind of value was wanted, if the value is of another kind."""
    name = str(detail["type"])
    if name in _LIMITS or name in _OWN or name in ("missing", "extra_forbidden", "literal_error"):
        return None
    if name.startswith("bool"):
        return "true or false"
    start = name.partition("_")[0]
    return next((kind for kind, starts in _KINDS.items() if start in starts), "right value")


def _a(kind: str) -> str:
    return kind if kind == "true or false" else f"a {kind}"


def _wrong(loc: Loc, detail: Any) -> Wrong:
    name, context = str(detail["type"]), detail.get("ctx") or {}
    if name == "missing":
        return Wrong(loc, "missing", "missing")
    if name == "extra_forbidden":
        return Wrong(loc, "unknown", "unknown key")
    value = detail.get("input")
    if isinstance(value, str) and name in ("too_long", "too_short"):
        name = f"string_{name}"  # pydantic counts the characters of some texts as entries
    if name in ("literal_error", "enum"):
        options = re.findall(r"'([^']*)'", str(context["expected"]))
        expected, near = f"one of {', '.join(options)}", nearest(str(value), options)
        return Wrong(loc, "value", _shown(detail, "is none of them"), expected, near)
    if name in _OWN:
        text = str(detail["msg"]).partition(", ")[2]
        message, _, expected = text.partition("; expected ")
        if isinstance(value, str) and len(value) < LONGEST and repr(value) not in message:
            message = f"{value!r}: {message}"
        return Wrong(loc, "value", message, expected)
    if name in _LIMITS:
        return Wrong(loc, "value", _shown(detail, _LIMITS[name](context)))
    kind = _kind(detail)
    text = "is neither true nor false" if kind == "true or false" else f"is not a {kind}"
    if kind == "right value":
        text = "is not right"
    if value is None:
        text = "has no value"
    return Wrong(loc, "value", _shown(detail, text))


def _shown(detail: Any, text: str) -> str:
    """Return a message with the value in front, if the value is a short scalar."""
    value = detail.get("input")
    plain = isinstance(value, str | int | float) and len(str(value)) < LONGEST
    return f"{value!r} {text}" if plain else text


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that a mistyped one was meant to be; '' if none is near enough.

    Words that only share some letters, such as `port` and `password`, are not near.
    """
    lowered = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), lowered, 5, 0.5)
    return next((lowered[each] for each in close if _alike(word.lower(), each)), "")


def _alike(word: str, other: str) -> bool:
    begins = min(len(word), len(other)) >= _BEGINNING and (
        word.startswith(other) or other.startswith(word)
    )
    return begins or _distance(word, other) <= 1 + max(len(word), len(other)) // 4


_BEGINNING = 4
"""The fewest letters with which a word begins that is an abbreviation of another."""


def _distance(word: str, other: str) -> int:
    """Return how many letters have to be put in, left out, changed, or swapped with the next."""
    before, row = list(range(len(other) + 1)), list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            best = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                best = min(best, earlier[j - 2] + 1)
            row.append(best)
    return row[-1]


_BOUNDS = ("ge", "gt", "le", "lt")


def expected(field: FieldInfo, *, entry: bool = False) -> str:
    """Return what a field takes, with an example, as the end of "expected ...".

    entry: True for one entry of its list.
    """
    kind, bounds, about = _taken(field.annotation)
    if entry and kind in (list, tuple):
        kind, bounds, about = _taken(get_args(_inner(field.annotation))[0])
    else:
        bounds |= _bounds(field.metadata)
        about = field if field.examples or about is None else about
    example = about.examples[0] if about is not None and about.examples else None
    description = ((about.description if about is not None else "") or "").rstrip(".")
    if kind in (list, tuple):
        return f"a list, such as {_listed(field, example)}"
    if kind is bool:
        return "true or false"
    if kind in (int, float) and not isinstance(example, str):
        return _number(kind, bounds)
    if kind is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "a mapping of keys and values"
    if example is None and isinstance(field.default, str | Path) and str(field.default):
        example = field.default
    if example is not None:
        return f"{description}, such as {example}"
    noun = "a path" if kind is Path else "a text"
    return f"{noun}: {description}" if kind in (str, Path) and description else description


def example(field: FieldInfo) -> Any:
    """Return an example of a field's value; None if it has none."""
    _, _, about = _taken(field.annotation)
    examples = field.examples or (about.examples if about is not None else None)
    return examples[0] if examples else None


def _taken(annotation: Any) -> tuple[Any, dict[str, int], FieldInfo | None]:
    """Return the kind of value that an annotation takes, its limits, and what describes it."""
    inner = _inner(annotation)
    bounds: dict[str, int] = {}
    about: FieldInfo | None = None
    while get_origin(inner) is Annotated:
        base, *more = get_args(inner)
        for part in more:
            if isinstance(part, FieldInfo):
                about = part
                bounds |= _bounds(part.metadata)
        inner = _inner(base)
    return get_origin(inner) or inner, bounds, about


def _inner(annotation: Any) -> Any:
    """Return an annotation without the values that nobody writes: None, and what is known later."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    written = [a for a in get_args(annotation) if a is not NoneType and not _is_late(a)]
    return written[0] if written else annotation


def _is_late(annotation: Any) -> bool:
    return getattr(annotation, "__name__", "") == "KnownAfter"


def _bounds(metadata: list[Any]) -> dict[str, int]:
    return {
        name: getattr(part, name) for part in metadata for name in _BOUNDS if hasattr(part, name)
    }


def _listed(field: FieldInfo, example: Any) -> str:
    """Return an example of a list as YAML writes it on one line."""
    whole = next((e for e in field.examples or () if isinstance(e, list | tuple)), None)
    if whole is None and example is None:
        _, _, about = _taken(get_args(_inner(field.annotation))[0])
        example = about.examples[0] if about is not None and about.examples else "one"
    entries = whole if whole is not None else [example]
    return f"[{', '.join(map(str, entries))}]"


def _number(kind: Any, bounds: Mapping[str, int]) -> str:
    noun = "a whole number" if kind is int else "a number"
    least, above, most = bounds.get("ge"), bounds.get("gt"), bounds.get("le")
    if least is not None and most is not None:
        return f"{noun} from {least} to {most}"
    if least is not None:
        return f"{noun}, {least} or more"
    return f"{noun} above {above}" if above is not None else noun
