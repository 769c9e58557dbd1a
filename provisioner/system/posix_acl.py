"""POSIX ACLs of directories, as text and as the kernel has them.

Promises: `u:1234:rwx,g:55:r-x,d:u:1234:rwx`, numeric; `g::r-x` is the owning group's own entry,
`o::` that of others; `d:` begins entries of a default ACL. Two attributes need no library.
Leaves out: setting them. Source of the binary form: linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import os
import struct

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
KINDS = ((ACCESS, ""), (DEFAULT, "d:"))
"""The attributes of a directory, with the prefix of their entries."""

_VERSION = 2
_TAGS = {"u": 0x02, "g": 0x08}
_OWNER, _USER, _GROUP_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF


def _bits(text: str) -> int:
    return sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in text)


def encode(acl: str, prefix: str, mode: int) -> bytes:
    """Return the entries of an ACL that begin with a prefix ('' or `d:`), in binary."""
    base = {"u": mode >> 6 & 7, "g": mode >> 3 & 7, "o": mode & 7}
    entries: list[tuple[int, int, int]] = []
    for part in [part.strip() for part in acl.split(",") if part.strip()]:
        default = part.startswith("d:")
        if default != (prefix == "d:"):
            continue
        kind, number, bits = part.removeprefix("d:").split(":")
        if number:
            entries.append((_TAGS[kind], _bits(bits), int(number)))
        else:
            base[kind] = _bits(bits)
    if not entries:
        return b""
    mask = base["g"]
    for entry in entries:
        mask |= entry[1]
    entries += [
        (_OWNER, base["u"], _NO_ID),
        (_GROUP_OWNER, base["g"], _NO_ID),
        (_MASK, mask, _NO_ID),
        (_OTHER, base["o"], _NO_ID),
    ]
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    return struct.pack("<I", _VERSION) + packed


def decode(opened: int) -> str:
    """Return the entries of a directory's ACLs as text, in the order of their numbers.

    The entry of the owner, and that of others except in a default ACL, are left out: the mode has
    them.
    """
    entries = []
    for name, prefix in KINDS:
        try:
            encoded = os.getxattr(opened, name)
        except OSError:
            continue
        for tag, bits, number in struct.iter_unpack("<HHI", encoded[4:]):
            letters = "".join(c if bits & b else "-" for c, b in zip("rwx", (4, 2, 1), strict=True))
            if tag in (_USER, _GROUP):
                entries.append(f"{prefix}{'u' if tag == _USER else 'g'}:{number}:{letters}")
            elif tag == _GROUP_OWNER or (tag == _OTHER and prefix):
                entries.append(f"{prefix}{'g' if tag == _GROUP_OWNER else 'o'}::{letters}")
    return ",".join(entries)


def users_in(encoded: bytes) -> set[int]:
    """Return the users for whom an ACL has entries."""
    return {number for tag, _, number in struct.iter_unpack("<HHI", encoded[4:]) if tag == _USER}
