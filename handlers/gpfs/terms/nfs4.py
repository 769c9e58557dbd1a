"""NFSv4 ACLs in the text of mmgetacl and mmputacl.

Promises: parse and write that text, expand the short form of templates, and tell whether two ACLs
mean the same, and whether printed text is complete. Pure.
Leaves out: POSIX ACLs, and what an ACL lets a person do.

An entry is `{special|user|group}:WHO:rwxc:{allow|deny}[:FLAG...]`, followed by its permissions
as `(X)NAME` and `(-)NAME`. A template may leave out the permissions. NFSv4 also has entries that
only write a log (audit, alarm; RFC 7530, 6.2.1.1): this module reads them, and they grant and deny
nothing. GPFS itself supports none (IBM, exceptions and limitations to NFS V4 ACLs), so no template
may have one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

FLAGS = ("FileInherit", "DirInherit", "InheritOnly", "NoPropagateInherit", "Inherited")

_ENTRY = re.compile(
    r"(special|user|group):([^:\n]+):([r-][w-][x-][c-]):(allow|deny|audit|alarm)((?::[A-Za-z]+)*)\Z"
)
_PERMISSION = re.compile(r"\(([X-])\)([A-Z_]+(?:/[A-Z]+)?)")

# The two lines of permission names as mmgetacl prints them.
_ROWS = (
    ("READ/LIST", "WRITE/CREATE", "APPEND/MKDIR", "SYNCHRONIZE", "READ_ACL", "READ_ATTR",
     "READ_NAMED"),
    ("DELETE", "DELETE_CHILD", "CHOWN", "EXEC/SEARCH", "WRITE_ACL", "WRITE_ATTR", "WRITE_NAMED"),
)  # fmt: skip
_WIDTHS = ((9, 12, 12, 11, 9, 10, 10), (9, 12, 12, 11, 9, 10, 11))


class Entry(NamedTuple):
    """One entry. letters: such as `rwx-`; permissions: those granted, None if the text leaves them
    out."""

    kind: str
    principal: str
    letters: str
    verdict: str
    flags: frozenset[str] = frozenset()
    permissions: frozenset[str] | None = None

    def means(self, other: Entry) -> bool:
        """Return True if two entries are the same; permissions count if both spell them out."""
        mine, theirs = self.permissions, other.permissions
        heads_agree = self._replace(permissions=None) == other._replace(permissions=None)
        return heads_agree and (mine is None or theirs is None or mine == theirs)


CLOSED = "special:owner@:rwxc:allow\n"
"""Nobody but the owner, who is root while a fileset is closed."""


def parse(text: str) -> tuple[Entry, ...]:
    """Return the entries of an ACL; skips lines that begin with `#`.

    Raises ValueError that names a line that is not part of an ACL.
    """
    entries: list[Entry] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if match := _ENTRY.match(line):
            kind, principal, letters, verdict, tail = match.groups()
            flags = frozenset(tail.split(":")) - {""}
            if unknown := flags.difference(FLAGS):
                raise ValueError(f"line {number}: unknown flag {min(unknown)!r}; one of {FLAGS}")
            entries.append(Entry(kind, principal, letters, verdict, flags))
        elif entries and (found := _PERMISSION.findall(line)):
            last = entries[-1]
            granted = (last.permissions or frozenset()) | {n for sign, n in found if sign == "X"}
            entries[-1] = last._replace(permissions=granted)
        else:
            raise ValueError(f"line {number}: {line!r} is not an entry of an NFSv4 ACL")
    return tuple(entries)


def whole(text: str) -> bool:
    """Return True if mmgetacl's text was not cut: each entry has both lines of permissions.

    Without its last entries an ACL looks closed.
    """
    heads = [line.strip() for line in text.splitlines()]
    entries = sum(bool(_ENTRY.match(line)) for line in heads)
    names = len(_PERMISSION.findall(text))
    return entries > 0 and names == entries * sum(map(len, _ROWS)) and text.endswith("\n")


def template(text: str) -> str:
    """Return the ACL of a template, with every permission spelled out.

    Raises ValueError if it is not an ACL, or not one that GPFS keeps.
    """
    entries = parse(text)
    for entry in entries:
        if entry.verdict not in ("allow", "deny"):
            raise ValueError(
                f"{entry.kind}:{entry.principal} has {entry.verdict}: GPFS keeps only allow and "
                "deny"
            )
    return write(entries)


def write(entries: Sequence[Entry]) -> str:
    """Return an ACL for mmputacl, with every permission spelled out."""
    return "#NFSv4 ACL\n" + "\n".join(_block(entry) for entry in entries)


def same(one: str, other: str) -> bool:
    """Return True if two texts are the same ACL; the order of entries counts."""
    left, right = parse(one), parse(other)
    return len(left) == len(right) and all(a.means(b) for a, b in zip(left, right, strict=True))


def closed(text: str) -> bool:
    """Return True if an ACL lets in nobody but the owner."""
    return not any(
        entry.verdict == "allow" and entry.principal != "owner@" and entry.letters != "----"
        for entry in parse(text)
    )


def trivial(text: str) -> bool:
    """Return True if an ACL says no more than a mode, so that chmod alone restores it."""
    return all(
        entry.kind == "special" and entry.verdict == "allow" and not entry.flags
        for entry in parse(text)
    )


def expand(letters: str) -> frozenset[str]:
    """Return the permissions that letters such as `rwx-` stand for, as mmgetacl shows them."""
    names = {"SYNCHRONIZE", "READ_ACL", "READ_ATTR", "READ_NAMED"}
    if "r" in letters:
        names |= {"READ/LIST"}
    if "w" in letters:
        names |= {"WRITE/CREATE", "APPEND/MKDIR", "WRITE_ATTR", "WRITE_NAMED"}
    if "x" in letters:
        names |= {"EXEC/SEARCH"}
    if "w" in letters and "x" in letters:
        names |= {"DELETE_CHILD"}
    if "c" in letters:
        names |= {"CHOWN", "WRITE_ACL"}
    return frozenset(names)


def _block(entry: Entry) -> str:
    granted = expand(entry.letters) if entry.permissions is None else entry.permissions
    head = ":".join((entry.kind, entry.principal, entry.letters, entry.verdict))
    head += "".join(f":{flag}" for flag in FLAGS if flag in entry.flags)
    lines = [head]
    for names, widths in zip(_ROWS, _WIDTHS, strict=True):
        cells = (
            f"({'X' if name in granted else '-'}){name}".ljust(width + 3)
            for name, width in zip(names, widths, strict=True)
        )
        lines.append((" " + " ".join(cells)).rstrip())
    return "\n".join(lines) + "\n"
