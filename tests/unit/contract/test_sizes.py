"""Sizes: what people write for a number of bytes, and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.contract.texts import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        (1048576, 1 << 20),
        ("17B", 17),
        ("5TiB", 5 << 40),
        ("5 TiB", 5 << 40),
        (" 5TiB ", 5 << 40),
        ("5tib", 5 << 40),
        ("500 GB", 500 * 10**9),
        ("1.5KiB", 1536),
        ("0.5 kB", 500),
        ("1KiB", 1 << 10),
        ("1MiB", 1 << 20),
        ("1GiB", 1 << 30),
        ("1PiB", 1 << 50),
        ("1EiB", 1 << 60),
        ("1EB", 10**18),
        ("017", 17),
        ("1.1TiB", 1209462790554),
        ("0.7TiB", 769658139444),
        ("1.0001KiB", 1025),
        ("1.5TB", 15 * 10**11),
    ],
)
def test_a_size_is_so_many_bytes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "TiB", "5TX", "5T", "5 Ti B", "-5", "+5", "5,5GB", "1e3", "0x10", "5GB5"),
        *(".5GB", "5.GB", "1_000", "\u0665", "5\u00a0GB", "inf", "nan", "9" * 5000),
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10T", "10TiB (by 1024) or 10TB (by 1000)"),
        ("1.5t", "1.5TiB (by 1024) or 1.5TB (by 1000)"),
        ("5Ti", "5TiB"),
        ("1,5TB", "1.5TB"),
        ("1,5 TiB", "1.5TiB"),
        ("5TX", "a size such as"),
    ],
)
def test_how_it_is_written_is_said_of_what_is_nearly_a_size(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"expected {re.escape(meant)}"):
        parse_size(text)


def test_a_long_text_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="a text of 65 characters is not a size"):
        parse_size("5" + " " * 61 + "TiB")


@pytest.mark.parametrize("text", ["0.5", "0.1B"])
def test_part_of_a_byte_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a whole number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1280, "1.25 KiB"),
        (1025, "1025 B"),
        (5 << 40, "5 TiB"),
        (10 << 40, "10 TiB"),
        (100 << 40, "100 TiB"),
        ((1 << 62) + 256, "4503599627370496.25 KiB"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_says_it_exactly(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 2**63 - 1) | st.builds(lambda n, p: n << p, st.integers(0, 9), st.just(60)))
def test_what_was_written_is_read_as_it_was(size: int) -> None:
    assert parse_size(format_size(size)) == size
