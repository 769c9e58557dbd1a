"""Identifiers that sort by the time they were made.

Promises: identifiers are unique, and grow within a process, also across threads, a fork and a clock
that is set back; they grow across processes if each follows the last one's.
Leaves out: secrecy; an identifier may be guessed from the one before.

The format is that of https://github.com/ulid/spec: 48 bits of milliseconds, 80 random bits, in 26
characters of Crockford's base 32.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NewType

LENGTH = 26

RequestId = NewType("RequestId", str)
"""The id of a request, from `new`, the journal or a file's name. At runtime it is a str."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = tuple(range(120, -1, -10))
_FORM = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
_RANDOM_BITS = 80


def _now() -> int:
    return time.time_ns()


class _Sequence:
    """The last number given, and the lock around it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0
        self.now: Callable[[], int] = _now

    def next(self) -> int:
        now = (self.now() // 1_000_000) << _RANDOM_BITS
        with self.lock:
            if now > self.last:
                # A zero as the first random bit leaves room to count up within the millisecond.
                self.last = now | (int.from_bytes(os.urandom(10), "big") >> 1)
            else:
                self.last += 1
            return self.last

    def follow(self, last: int) -> None:
        """Give only numbers greater than `last` from now on."""
        with self.lock:
            self.last = max(self.last, last)


_sequence = _Sequence()
# A forked child that continued to count would give the same numbers as its parent.
os.register_at_fork(after_in_child=_sequence.__init__)  # type: ignore[misc]


def new() -> RequestId:
    """Return an identifier greater than all that this process has made before."""
    return _text(_sequence.next())


def reckon(now: Callable[[], float]) -> None:
    """Make identifiers by another clock than this host's. now: in seconds since the epoch."""
    _sequence.now = lambda: int(now() * 1e9)


def follow(last: str) -> None:
    """Make every identifier from now on greater than one that any process made before.

    last: '' if there was none.
    """
    if is_ulid(last):
        _sequence.follow(_number(last))


def first(at: float) -> RequestId:
    """Return the least identifier of a time, in seconds since the epoch."""
    return _text(max(0, int(at * 1000)) << _RANDOM_BITS)


def at(moment: float) -> RequestId:
    """Return an identifier of a time, in seconds since the epoch."""
    return _text(_number(first(moment)) | (int.from_bytes(os.urandom(10), "big") >> 1))


def after(ulid: RequestId) -> RequestId:
    """Return the least identifier that is greater than another one."""
    return _text(_number(ulid) + 1)


def is_ulid(text: str) -> bool:
    """Return True if a text is an identifier as `new` writes it, in capitals."""
    return _FORM.match(text) is not None


def timestamp(ulid: str) -> datetime:
    """Return when an identifier was made, to the millisecond, UTC.

    Raises ValueError if the text is not an identifier.
    """
    if not is_ulid(ulid):
        raise ValueError(f"{ulid!r} is not a ULID")
    return datetime.fromtimestamp((_number(ulid) >> _RANDOM_BITS) / 1000, UTC)


def _text(number: int) -> RequestId:
    return RequestId("".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS]))


def _number(ulid: str) -> int:
    number = 0
    for character in ulid:
        number = number << 5 | _ALPHABET.index(character)
    return number
