"""NFSv4 ACLs as JSON of the REST API v2, and as the text of mmgetacl.

Promises: both ways, entry by entry, in their order; an entry that has no counterpart is an error.
Pure. Leaves out: NoPropagateInherit, for which the API documents no letter.

An entry is `{"type": "allow", "who": "special:owner@", "permissions": "rwmxDaAnNcCos",
"flags": "fd"}` (IBM, acl; public clients).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.gpfs.terms import nfs4
from handlers.gpfs.terms.rows import Unreadable
from provisioner.contract import Json

_LETTERS = {
    "r": "READ/LIST", "w": "WRITE/CREATE", "m": "APPEND/MKDIR", "x": "EXEC/SEARCH",
    "d": "DELETE", "D": "DELETE_CHILD", "a": "READ_ATTR", "A": "WRITE_ATTR",
    "n": "READ_NAMED", "N": "WRITE_NAMED", "c": "READ_ACL", "C": "WRITE_ACL",
    "o": "CHOWN", "s": "SYNCHRONIZE",
}  # fmt: skip

NAMES = frozenset(_LETTERS.values())
"""The permissions, as mmgetacl names them."""

_FLAGS = {"f": "FileInherit", "d": "DirInherit", "i": "InheritOnly", "I": "Inherited"}

_SHORT = (("r", "r"), ("w", "w"), ("x", "x"), ("c", "C"))
"""The letters of mmgetacl's short form, and of the permission each stands for."""


def text(acl: Mapping[str, Any]) -> str:
    """Return an ACL as text of mmgetacl. Raises Unreadable."""
    entries = acl.get("entries")
    if acl.get("type") != "NFSv4" or not isinstance(entries, list) or not entries:
        raise Unreadable("an ACL that is not one of NFSv4 with entries", str(dict(acl)))
    return nfs4.write([_entry(entry) for entry in entries])


def _entry(entry: Any) -> nfs4.Entry:
    if not isinstance(entry, Mapping):
        raise Unreadable("an entry that is none", str(entry))
    letters, flags = str(entry.get("permissions", "")), str(entry.get("flags") or "")
    kind, colon, principal = str(entry.get("who", "")).partition(":")
    known = set(letters) <= set(_LETTERS) and set(flags) <= set(_FLAGS)
    if not known or not colon or not principal or kind not in ("special", "user", "group"):
        raise Unreadable("an entry of an ACL that this version does not know", str(dict(entry)))
    if (verdict := str(entry.get("type", ""))) not in ("allow", "deny", "audit", "alarm"):
        raise Unreadable("an entry of an ACL that neither allows nor denies", str(dict(entry)))
    short = "".join(letter if rest in letters else "-" for letter, rest in _SHORT)
    granted = frozenset(_LETTERS[letter] for letter in letters)
    inherits = frozenset(_FLAGS[flag] for flag in flags)
    return nfs4.Entry(kind, principal, short, verdict, inherits, granted)


def body(acl: str) -> dict[str, Json]:
    """Return the body that sets an ACL. Raises ValueError for one that it cannot say."""
    return {"type": "NFSv4", "entries": [_json(entry) for entry in nfs4.parse(acl)]}


def _json(entry: nfs4.Entry) -> dict[str, Json]:
    if unknown := entry.flags.difference(_FLAGS.values()):
        raise ValueError(f"{min(unknown)} of {entry.kind}:{entry.principal}")
    granted = entry.permissions
    names = nfs4.expand(entry.letters) if granted is None else granted
    return {
        "type": entry.verdict,
        "who": f"{entry.kind}:{entry.principal}",
        "permissions": "".join(letter for letter, name in _LETTERS.items() if name in names),
        "flags": "".join(flag for flag, name in _FLAGS.items() if name in entry.flags),
    }


def of_mode(mode: int) -> str:
    """Return the ACL that a mode stands for, for owner@, group@ and everyone@."""
    entries = []
    for principal, shift in (("owner@", 6), ("group@", 3), ("everyone@", 0)):
        bits = mode >> shift & 0o7
        letters = "".join(c if bits & b else "-" for c, b in (("r", 4), ("w", 2), ("x", 1)))
        control = "c" if principal == "owner@" else "-"
        entries.append(nfs4.Entry("special", principal, letters + control, "allow"))
    return nfs4.write(entries)
