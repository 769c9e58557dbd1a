"""What goes into a directory as text, and what comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ldap.directory.sid import built_in, sid_bytes, sid_text
from handlers.ldap.directory.text import (
    Entry,
    any_of,
    backend_of,
    child,
    chunks,
    equals,
    first_name,
    same_dn,
)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("jdoe", "(cn=jdoe)"),
        ("*", r"(cn=\2a)"),
        ("a)(uid=*", r"(cn=a\29\28uid=\2a)"),
        ("a\\b", r"(cn=a\5cb)"),
        ("a\x00", r"(cn=a\00)"),
    ],
)
def test_a_value_cannot_leave_its_place_in_a_filter(value: str, written: str) -> None:
    assert equals("cn", value) == written


def test_a_filter_for_many_values_is_one_or() -> None:
    assert any_of("cn", ["a", "b*"]) == r"(|(cn=a)(cn=b\2a))"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("jdoe", "cn=jdoe,DC=x"),
        ("a,OU=b", r"cn=a\,OU\=b,DC=x"),
        ("a+b=c", r"cn=a\+b\=c,DC=x"),
        ("#a", r"cn=\#a,DC=x"),
    ],
)
def test_a_value_cannot_leave_its_place_in_a_name(value: str, written: str) -> None:
    assert child("cn", value, "DC=x") == written
    assert first_name(child("cn", value, "DC=x")) == ("cn", value)


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("CN=a,DC=x", "cn=A,dc=X", True),
        ("CN=a, DC=x", "CN=a,DC=x", True),
        ("CN = a\t,  DC=x", "CN=a,DC=x", True),
        (" CN=a,DC=x ", "CN=a,DC=x", True),
        ("CN=a b,DC=x", "CN=ab,DC=x", False),
        ("CN=a,DC=x", "CN=b,DC=x", False),
    ],
)
def test_two_spellings_of_a_name_are_one(one: str, other: str, are_same: bool) -> None:
    assert (same_dn(one) == same_dn(other)) is are_same


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("DC=campus,DC=test", "campus.test"),
        ("OU=HPC,DC=Campus,DC=test", "campus.test"),
        ("o=hpc", "hpc"),
    ],
)
def test_a_directory_is_named_after_its_base(base: str, name: str) -> None:
    assert backend_of(base) == name


@pytest.mark.parametrize(
    ("raw", "number"), [(b"1000", 1000), (b"", None), (b"abc", None), (b"-1", -1)]
)
def test_numbers_are_converted_here(raw: bytes, number: int | None) -> None:
    assert Entry("cn=x", {"uidnumber": (raw,)}).number("uidNumber") == number


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"member": (b"a", b"b")}, (("a", "b"), None)),
        ({"member;range=0-1": (b"a", b"b"), "member": ()}, (("a", "b"), 2)),
        ({"member;range=2-*": (b"c",)}, (("c",), None)),
        ({}, ((), None)),
    ],
)
def test_a_range_says_where_the_next_begins(
    values: dict[str, tuple[bytes, ...]], expected: tuple[tuple[str, ...], int | None]
) -> None:
    assert Entry("cn=x", values).ranged("member") == expected


def test_chunks_leave_nothing_out() -> None:
    assert [list(part) for part in chunks([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]


def test_a_known_sid_reads_as_windows_writes_it() -> None:
    raw = bytes.fromhex("010500000000000515000000dcf4dc3b833d2b46828ba62800020000")
    assert sid_text(raw) == "S-1-5-21-1004336348-1177238915-682003330-512"


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=15), st.integers(0, 2**48 - 1))
def test_every_sid_comes_back_as_it_was(parts: list[int], authority: int) -> None:
    text = "-".join(["S-1", str(authority), *map(str, parts)])
    assert sid_text(sid_bytes(text)) == text


@pytest.mark.parametrize("text", ["", "S-1", "S-1-5", "S-2-5-1", "S-1-5-4294967296", "S-1-5-1\n"])
def test_what_is_no_sid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a SID"):
        sid_bytes(text)


@pytest.mark.parametrize("raw", [b"", b"\x01\x01" + b"\0" * 6, b"\x02\x01" + b"\0" * 10])
def test_bytes_that_are_no_sid_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a SID"):
        sid_text(raw)


@pytest.mark.parametrize(
    ("text", "comes_with_it"),
    [
        ("S-1-5-21-1004336348-1177238915-682003330-500", True),
        ("S-1-5-21-1004336348-1177238915-682003330-502", True),
        ("S-1-5-21-1004336348-1177238915-682003330-1000", False),
        ("S-1-5-21-1004336348-1177238915-682003330-1106", False),
        ("", False),
    ],
)
def test_what_comes_with_a_domain_is_known_by_its_sid(text: str, comes_with_it: bool) -> None:
    assert built_in(text) is comes_with_it
