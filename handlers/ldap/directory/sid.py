"""A security identifier as Windows keeps it (bytes) and as people read it (`S-1-5-21-...`).

Promises: exact conversion in both directions. The layout is MS-DTYP 2.4.2.2. Leaves out: what a SID
names.
"""

from __future__ import annotations

import re
import struct

_TEXT = re.compile(r"S-1-(0|[1-9]\d{0,14})((?:-(?:0|[1-9]\d{0,9})){1,15})\Z")


def sid_text(raw: bytes) -> str:
    """Return a binary SID as text.

    raw: revision, count, six bytes of authority (big-endian), `count` words (little-endian).
    Raises ValueError if the bytes are not a SID.
    """
    if len(raw) < 12 or raw[0] != 1 or len(raw) != 8 + 4 * raw[1]:
        raise ValueError(f"{raw.hex()} is not a SID")
    parts = struct.unpack(f"<{raw[1]}I", raw[8:])
    return "-".join(("S-1", str(int.from_bytes(raw[2:8], "big")), *map(str, parts)))


def sid_bytes(text: str) -> bytes:
    """Return a SID's text as the directory's bytes. Raises ValueError if the text is not a SID."""
    match = _TEXT.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a SID")
    authority, parts = int(match[1]), [int(part) for part in match[2][1:].split("-")]
    if authority >= 1 << 48 or any(part >= 1 << 32 for part in parts):
        raise ValueError(f"{text!r} is not a SID: a number is too large")
    head = bytes((1, len(parts))) + authority.to_bytes(6, "big")
    return head + struct.pack(f"<{len(parts)}I", *parts)


def built_in(text: str) -> bool:
    """Return True if a SID comes with a domain: its last number is below 1000 (MS-ADTS)."""
    return text.startswith("S-1-5-21-") and int(text.rpartition("-")[2]) < 1000
