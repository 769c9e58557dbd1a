"""Text that goes into a directory and comes out of it: filters, names, entries. Pure.

Promises: every value in a filter or a DN is escaped, and this module converts every number, never
ldap3 (which returns an attribute as a number or as text, depending on the schema it has loaded).
Leaves out: searching (`directory.client`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

T = TypeVar("T")

_RANGE = re.compile(r"(?P<name>[^;]+);range=\d+-(?P<last>\d+|\*)\Z")
_SPACES = re.compile(r"\s+(?=[,=])|(?<=[,=])\s+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory. values: the bytes that came, by attribute in lower case."""

    dn: str
    values: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def raw(self, name: str) -> bytes | None:
        """Return an attribute's first value."""
        found = self.values.get(name.lower())
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """Return an attribute's first value as text."""
        raw = self.raw(name)
        return None if raw is None else raw.decode("utf-8", "replace")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of an attribute as text."""
        return tuple(raw.decode("utf-8", "replace") for raw in self.values.get(name.lower(), ()))

    def number(self, name: str) -> int | None:
        """Return an attribute's first value as a number; None if it is absent or not a number."""
        raw = self.raw(name)
        try:
            return None if raw is None else int(raw)
        except ValueError:
            return None

    def is_true(self, name: str) -> bool:
        """Return True if a boolean attribute is TRUE."""
        return (self.text(name) or "").upper() == "TRUE"

    def ranged(self, name: str) -> tuple[tuple[str, ...], int | None]:
        """Return the values of an attribute that may come in a range, and where the next range
        begins.

        Servers answer with `member;range=0-1499` if there are more, and with `member;range=1500-*`
        if there are none (MS-ADTS 3.1.1.3.1.3.3).
        """
        for key, values in self.values.items():
            match = _RANGE.match(key)
            if match and match["name"] == name.lower() and values:
                texts = tuple(raw.decode("utf-8", "replace") for raw in values)
                return texts, None if match["last"] == "*" else int(match["last"]) + 1
        return self.texts(name), None


def equals(attribute: str, value: str) -> str:
    """Return the filter for one value, escaped."""
    return f"({attribute}={escape_filter_chars(value)})"


def any_of(attribute: str, values: Iterable[str]) -> str:
    """Return the filter for any of some values, each escaped."""
    return f"(|{''.join(equals(attribute, value) for value in values)})"


def any_beginning(attribute: str, values: Iterable[str]) -> str:
    """Return the filter for any value that begins with one of some texts, each escaped."""
    return f"(|{''.join(f'({attribute}={escape_filter_chars(one)}*)' for one in values)})"


def any_holding(attribute: str, texts: Iterable[str]) -> str:
    """Return the filter for any value in which one of some texts is, each escaped."""
    return f"(|{''.join(f'({attribute}=*{escape_filter_chars(one)}*)' for one in texts)})"


def child(attribute: str, value: str, container: str) -> str:
    """Return the DN of an entry in a container, with its name escaped."""
    return f"{attribute}={escape_rdn(value)},{container}"


def first_name(dn: str) -> tuple[str, str]:
    """Return attribute and value of a DN's first part, the value unescaped."""
    attribute, _, rest = dn.partition("=")
    value = re.split(r"(?<!\\),", rest, maxsplit=1)[0]
    return attribute, re.sub(r"\\([^0-9a-fA-F])", r"\1", value)


@lru_cache(maxsize=1 << 16)
def same_dn(dn: str) -> str:
    """Return a DN in a form in which two spellings of one name are equal."""
    return _SPACES.sub("", dn).strip().lower()


def backend_of(base: str) -> str:
    """Return the name of a base's directory: `campus.test` for `DC=campus,DC=test`."""
    parts = [part.partition("=") for part in base.split(",")]
    names = [value.strip() for name, _, value in parts if name.strip().lower() == "dc"]
    return ".".join(names or [value.strip() for _, _, value in parts]).lower()


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return a sequence in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
