"""Kept state: a JSON file under a lock, for programs that live for a moment.

Promises: one writer at a time (flock); a write is complete or not at all. It imports nothing that
is written in Python: `json` and `contextlib` bring `re` and `enum` with them, and take as long as
the interpreter's own start. So it calls the C functions that `json` stands on. Leaves out: what is
kept.
"""

# ruff: noqa: PTH105

from __future__ import annotations

import _json
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import TextIOWrapper
    from typing import Any


class _Plain:
    """How JSON is read: as `json.loads` reads it."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_scan: Callable[[str, int], tuple[Any, int]] = _json.make_scanner(_Plain)  # type: ignore[arg-type]


def _refuse(value: object) -> object:
    raise TypeError(f"{value!r} is not JSON")


_encode = _json.make_encoder(
    None, _refuse, _json.encode_basestring_ascii, None, ": ", ", ", False, False, True
)


def parse(text: str) -> Any:
    """Return the value of a text. Raises ValueError if it is not JSON."""
    text = text.strip()
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError(f"{text[:60]!r} is not JSON") from None
    if end != len(text):
        raise ValueError(f"{text[:60]!r} goes on after its JSON")
    return value


def load(path: str) -> Any:
    """Return what a file keeps. Raises ValueError if it is not JSON."""
    with open(path, encoding="utf-8") as file:
        return parse(file.read())


def write(path: str, value: object) -> None:
    """Put a value into a file: all or nothing, as a killed caller must not empty it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write("".join(_encode(value, 0)))
    os.replace(f"{path}.new", path)


class Held:
    """A file while it is held; gives its value. changes: write it back if nothing was raised."""

    def __init__(self, path: str, lock: str, *, changes: bool) -> None:
        self._path, self._lock, self._changes = path, lock, changes
        self._held: TextIOWrapper | None = None
        self.value: Any = None

    def __enter__(self) -> Any:
        self._held = open(self._lock, "a", encoding="utf-8")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX if self._changes else fcntl.LOCK_SH)
            self.value = load(self._path)
        except BaseException:
            self._held.close()
            raise
        return self.value

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        assert self._held is not None
        with self._held:
            if self._changes and kind is None:
                write(self._path, self.value)
