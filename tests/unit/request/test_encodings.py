"""Text that is not UTF-8 is told with its encoding, its line and what to type."""

from __future__ import annotations

import codecs

import pytest

from provisioner.contract import InvalidRequest
from provisioner.request.encodings import decoded

TEXT = "name: jürgen\ncity: Köln\n"

OTHERS = {
    "UTF-16 with its mark": (TEXT.encode("utf-16"), "line 1: the file is UTF-16", "-f UTF-16 "),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "the file is UTF-16LE", "-f UTF-16LE"),
    "the other UTF-16": (TEXT.encode("utf-16-be"), "the file is UTF-16BE", "-f UTF-16BE"),
    "UTF-32": (TEXT.encode("utf-32"), "the file is UTF-32", "-f UTF-32"),
    "Latin-1": (
        TEXT.encode("latin-1"),
        "line 1: the file is not UTF-8: byte 0xfc, which is 'ü'",
        "ISO-8859-1",
    ),
    "Latin-1 after a mark": (
        codecs.BOM_UTF8 + b"a: b\n" + TEXT.encode("latin-1"),
        "line 2: the file is not UTF-8, although it begins with the mark of UTF-8: byte 0xfc",
        "ISO-8859-1",
    ),
    "Windows": ("price: 5 €\n".encode("cp1252"), "byte 0x80, which is '€' in CP1252", "CP1252"),
    "something else": (b"\x7fELF\x00\x01\x02", "the file is binary", "UTF-8 text"),
}


@pytest.mark.parametrize("text", [TEXT.encode(), codecs.BOM_UTF8 + TEXT.encode()])
def test_utf8_is_read_with_and_without_its_mark(text: bytes) -> None:
    assert decoded(text) == TEXT


@pytest.mark.parametrize(("data", "message", "command"), OTHERS.values(), ids=OTHERS.keys())
def test_another_encoding_is_told_with_what_converts_it(
    data: bytes, message: str, command: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        decoded(data)
    assert message in error.value.message
    assert command in error.value.expected
