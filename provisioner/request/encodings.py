"""Encodings: text is UTF-8, and anything else is told with its name and the command that converts.

Promises: nothing is guessed and taken. Leaves out: what the text means.
"""

from __future__ import annotations

from provisioner.contract import InvalidRequest

_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""How a text begins in an encoding that marks itself, the longest first."""

_BEGINNINGS = tuple(_MARKS)

_BOM = b"\xef\xbb\xbf"


def decoded(data: bytes) -> str:
    """Return a text in UTF-8, with or without a byte order mark.

    Raises InvalidRequest with the line, the encoding that it seems to have, and what to type.
    """
    found = wrong(data)
    if found is not None:
        line, why, what = found
        raise InvalidRequest(f"line {line}: {why}", expected=what)
    return data.decode("utf-8-sig")


def wrong(data: bytes) -> tuple[int, str, str] | None:
    """Return line, message and expectation if bytes are no UTF-8 text; None if they are."""
    if data.startswith(_BEGINNINGS):
        name = next(name for mark, name in _MARKS.items() if data.startswith(mark))
        return 1, f"the file is {name}, not UTF-8", _to_utf8(name)
    if b"\x00" in data:
        name = _unmarked(data)
        return 1, f"the file is {name or 'binary'}, not UTF-8", _to_utf8(name)
    marked = ", although it begins with the mark of UTF-8" if data.startswith(_BOM) else ""
    data = data.removeprefix(_BOM)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        byte = data[error.start]
        name = "CP1252" if 0x80 <= byte < 0xA0 else "ISO-8859-1"
        shown = bytes([byte]).decode(name.lower(), "replace")
        why = f"the file is not UTF-8{marked}: byte 0x{byte:02x}, which is {shown!r} in {name}"
        return data.count(b"\n", 0, error.start) + 1, why, _to_utf8(name)
    return None


def _unmarked(data: bytes) -> str:
    """Return the kind of UTF-16 that bytes without a mark seem to be; '' for none."""
    some = data[:400]
    odd, even = some[1::2].count(0), some[::2].count(0)
    if max(odd, even) * 4 < len(some):
        return ""
    return "UTF-16LE" if odd > even else "UTF-16BE"


def _to_utf8(name: str) -> str:
    """Return what is expected of a text in an encoding: what to type."""
    return f"UTF-8 text: iconv -f {name} -t UTF-8 FILE > NEW" if name else "UTF-8 text"
