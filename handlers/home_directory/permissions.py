"""Permission bits and numeric POSIX ACLs, as text and as numbers. Pure.

Promises: an ACL agrees with the mode beside it. Leaves out: setting them.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_BITS = (("r", 4), ("w", 2), ("x", 1))
_ENTRY = re.compile(r"(d:)?[ug]:[0-9]{1,10}:[r-][w-][x-]\Z")


def _acl(value: str) -> str:
    for entry in entries(value):
        if not _ENTRY.match(entry):
            raise ValueError(
                f"{entry!r} is not an entry such as u:1234:rwx, g:55:r-x or d:g:55:r-x"
            )
    return value


Acl = Annotated[str, AfterValidator(_acl)]


def octal(value: object) -> int:
    """Return permission bits, read from octal text."""
    return int(str(value), 8)


def entries(acl: object) -> set[str]:
    """Return the entries of an ACL."""
    return {entry.strip() for entry in str(acl or "").split(",") if entry.strip()}


def whole(acl: str, mode: object) -> str:
    """Return an ACL with the entries of the owning group and of others, which the mode gives."""
    listed = sorted(entries(acl))
    group, other = _letters(octal(mode) >> 3), _letters(octal(mode))
    if any(not entry.startswith("d:") for entry in listed):
        listed.append(f"g::{group}")
    if any(entry.startswith("d:") for entry in listed):
        listed += [f"d:g::{group}", f"d:o::{other}"]
    return ",".join(listed)


def _letters(bits: int) -> str:
    return "".join(letter if bits & bit else "-" for letter, bit in _BITS)


def mask(acl: object) -> int:
    """Return the bits that any entry of an ACL gives, except entries of a default ACL."""
    bits = 0
    for entry in entries(acl):
        bits |= 0 if entry.startswith("d:") else value(entry[-3:])
    return bits


def value(letters: str) -> int:
    """Return the bits of `rwx`."""
    return sum(bit for letter, bit in _BITS if letter in letters)
