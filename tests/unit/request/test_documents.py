"""Documents: hostile text is refused with its line, and every leaf stays the text as written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioner.request.documents import (
    DEPTH,
    EVENTS,
    SIZE,
    InvalidDocument,
    Problem,
    dump,
    parse,
)


def problems(data: bytes) -> tuple[Problem, ...]:
    with pytest.raises(InvalidDocument) as raised:
        parse(data)
    return raised.value.problems


def nested(levels: int) -> bytes:
    return b"x: " + b"[" * (levels - 1) + b"]" * (levels - 1)


def many(events: int) -> bytes:
    """A list of so many events, with those of stream, document, mapping, key and list."""
    return b"x: [" + b"a," * (events - 8) + b"]"


# Reading.


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no", "no"),
        ("017", "017"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("=", "="),
        ("! 5", "5"),
        ("b # said", "b"),
        ("'a''b'", "a'b"),
        ('"a\\n\\x62"', "a\nb"),
        ('""', ""),
        ("'null'", "null"),
        ('"~"', "~"),
        ("~", None),
        ("null", None),
        ("", None),
        ("\U0001f9ec", "\U0001f9ec"),
        ("[b, [c]]", ["b", ["c"]]),
        ("{b: {c: 1}}", {"b": {"c": "1"}}),
        ("|\n  b\n  c\n", "b\nc\n"),
        (">\n  b\n  c\n", "b c\n"),
    ],
)
def test_a_leaf_is_the_text_that_was_written(written: str, read: object) -> None:
    assert parse(f"a: {written}".encode()).value == {"a": read}


@pytest.mark.parametrize(
    "data",
    [
        b"---\na: 1\n...\n",
        b"%YAML 1.1\n---\na: 1",
        b"\xef\xbb\xbfa: 1",
        b"a: 1\r\n",
        b"# b\na: &c 1",
    ],
    ids=["markers", "directive", "byte order mark", "CRLF", "comment and anchor"],
)
def test_what_stands_around_the_content_does_not_count(data: bytes) -> None:
    assert parse(data).value == {"a": "1"}


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse(b"<<: {a: 1}").value == {"<<": {"a": "1"}}


def test_every_key_and_item_has_its_line() -> None:
    document = parse(b"# first\na:\n  - b\n  - c: d\n    e: |\n      f\n      g\nh: i\n")
    assert document.lines == {
        ("a",): 2,
        ("a", 0): 3,
        ("a", 1): 4,
        ("a", 1, "c"): 4,
        ("a", 1, "e"): 5,
        ("h",): 8,
    }


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_accepted_as_any_library_writes_it(
    indent: int | str | None, ascii_only: bool
) -> None:
    value = {"a": {"b": ["c", "d\n\t\"e'"]}, "f": "é\U0001f9ec\U0001d11e\\ud83d", "g": "/"}
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse(text.encode()).value == value


def test_what_is_no_json_keeps_its_backslashes() -> None:
    assert parse(rb"{a: '\ud83d\ude00'}").value == {"a": r"\ud83d\ude00"}


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"", 1, "empty"),
        (b" \n\t ", 1, "empty"),
        (b"a: 1\nb: \xe9", 2, "not UTF-8"),
        ("a: é".encode("utf-16"), 1, "UTF-16"),
        (b"a: 1\nb: \x00", 1, "binary"),
        (b"\x7fELF\x02\x01\x01\x00", 1, "binary"),
        (b"a: 1\nb: \x07", 2, "control characters"),
        ("é: é\nb: \x1b[2J".encode(), 2, "control characters"),
        (b"# nothing", 1, "no document"),
        (b"- a", 1, "not a mapping"),
        (b"text", 1, "not a mapping"),
        (b"\n---\n", 3, "not a mapping"),
        (b"a: 1\n---\nb: 1", 2, "second document"),
        (b"a: b\nc: *d", 2, "alias *d"),
        (b"a: &a [*a]", 1, "alias *a"),
        (b"a: 1\nb: !!str 5", 2, "tag tag:yaml.org,2002:str"),
        (b"a: !!python/object/apply:os.system [id]", 1, "tag"),
        (b"a: !!binary aGk=", 1, "tag"),
        (b"!!map\na: 1", 1, "tag"),
        (b"a: 1\n? [b]\n: c", 2, "a key that is a mapping or a list"),
        (b"{a: 1}: b", 1, "a key that is a mapping or a list"),
        (b"a: 1\nb: c: d", 2, "not YAML"),
        (b"a: 1\n\tb: 1", 2, "not YAML"),
        (b"a: 1\nb: @c", 2, "not YAML"),
        (b"a: 'b", 1, "not YAML"),
        (b"%YAML 3.0\n---\na: 1", 1, "not YAML"),
        (b'a: 1\nb: "\\ud83d"', 2, "not YAML"),
        (b'{"a": "\\ud83d"}', 1, "not YAML"),
        (nested(DEPTH + 1), 1, f"more than {DEPTH} levels"),
        (b"a:\n" + b"- " * DEPTH, 2, f"more than {DEPTH} levels"),
        (b"{a: " * (DEPTH + 1), 1, f"more than {DEPTH} levels"),
        (many(EVENTS + 1), None, f"more than {EVENTS} keys"),
        (b"a: " + b"x" * SIZE, None, f"more than {SIZE} bytes"),
    ],
)
def test_what_is_no_safe_document_is_refused(data: bytes, line: int | None, says: str) -> None:
    [problem] = problems(data)
    assert says in problem.message
    assert (problem.line, bool(problem.expected)) == (line, True)
    assert "\n" not in str(problem)


@pytest.mark.parametrize(
    "data",
    [nested(DEPTH), many(EVENTS), b"a: " + b"x" * (SIZE - 3)],
    ids=["levels", "events", "bytes"],
)
def test_the_limits_themselves_are_allowed(data: bytes) -> None:
    assert len(parse(data).value) == 1


def test_the_size_is_the_callers() -> None:
    assert parse(b"a: " + b"x" * SIZE, size=SIZE + 3).value["a"][0] == "x"


@pytest.mark.parametrize("data", [b"", b" \n", b"# later\n"])
def test_whoever_wrote_nothing_is_told_what_is_read_here(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match="expected a shopping list"):
        parse(data, expected="a shopping list")


def test_every_duplicate_key_is_named_with_both_lines() -> None:
    found = problems(b"a: 1\nb: {c: 1, 'c': 2}\n\"a\": 2\nd:\n  - e: 1\n    e: 2\n")
    assert [(problem.line, problem.key) for problem in found] == [
        (2, "b.c"),
        (3, "a"),
        (6, "d[1].e"),
    ]
    assert "line 1" in found[1].message


@given(
    st.binary(max_size=300) | st.text("{}[]:,-?&*!|>'\"%@`# \n\tab~<=", max_size=60).map(str.encode)
)
def test_any_bytes_give_a_document_or_its_problems(data: bytes) -> None:
    try:
        assert isinstance(parse(data).value, dict)
    except InvalidDocument as error:
        assert all(problem.message for problem in error.problems)


# Writing.


CHARACTERS = st.characters(exclude_categories=["Cs"])
HARD = st.sampled_from(
    ["", "~", "no", "Null", "1_000", "0o17", "1:30", "- a", "a: b", "a #b", "<<"]
)
TEXT = st.text(CHARACTERS) | HARD
# A key of more than 1,000 characters would need another notation, which nobody here writes.
KEY = st.text(CHARACTERS, max_size=80) | HARD
LEAF = TEXT | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)


def plain(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mappings of what a document may hold."""
    inner = st.recursive(
        leaves,
        lambda value: st.lists(value, max_size=4) | st.dictionaries(KEY, value, max_size=4),
        max_leaves=20,
    )
    return st.dictionaries(KEY, inner, max_size=5)


@given(plain(TEXT | st.none()))
def test_what_was_dumped_is_parsed_as_it_was(value: dict[str, Any]) -> None:
    assert parse(dump(value).encode()).value == value


@given(plain(LEAF))
def test_what_was_dumped_keeps_its_types_for_any_loader(value: dict[str, Any]) -> None:
    text = dump(value)
    assert text.isascii()
    assert yaml.safe_load(text) == value
    assert yaml.load(text, yaml.CSafeLoader) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "b c"}, "a: b c\n"),
        ({"a": "no"}, 'a: "no"\n'),
        ({"a": "5"}, 'a: "5"\n'),
        ({"a": 5, "b": 1.5, "c": True, "d": None}, "a: 5\nb: 1.5\nc: true\nd: null\n"),
        ({"a": {"b": {}}, "c": []}, "a:\n  b: {}\nc: []\n"),
        ({"a": ["b", {"c": "d", "e": "f"}]}, "a:\n  - b\n  - c: d\n    e: f\n"),
        ({"a": "b\nc"}, 'a: "b\\nc"\n'),
        ({"a": "é\x7f\U0001f9ec"}, 'a: "\\xe9\\x7f\\U0001f9ec"\n'),
        ({"a": datetime(2026, 12, 24, tzinfo=UTC)}, 'a: "2026-12-24T00:00:00+00:00"\n'),
    ],
)
def test_how_plain_data_is_written(value: object, text: str) -> None:
    assert dump(value) == text


def test_half_of_a_surrogate_pair_becomes_the_text_of_its_escape() -> None:
    assert parse(dump({"a": "b\udcffc"}).encode()).value == {"a": "b\\udcffc"}


@pytest.mark.parametrize("value", [{"a": object()}, {"a": {1, 2}}, {"a": b"b"}, {"a": 1j}])
def test_what_is_no_plain_data_is_not_written(value: object) -> None:
    with pytest.raises(TypeError, match="not plain data"):
        dump(value)


NO_BREAK = (
    "line 2: no-break space (U+00A0), which only looks like a blank, or is invisible; expected"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user:\n\u00a0 name: jdoe\n", NO_BREAK),
        ("user:\n  \u00a0name: jdoe\n", NO_BREAK),
        ("action: x\nuser:\u00a0jdoe\n", NO_BREAK),
        ("users:\n-\u00a0jdoe\n", NO_BREAK),
        ("action: x\n\u3000user: y\n", "line 2: ideographic space (U+3000)"),
        ("action: x\nus\u200ber: y\n", "line 2: zero width space (U+200B)"),
        ('{"action": "x",\n\u00a0"user": "y"}', NO_BREAK),
    ],
)
def test_what_only_looks_like_a_blank_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse(text.encode())
    assert said in str(caught.value)


def test_a_no_break_space_inside_a_value_is_text() -> None:
    assert parse("title: Pro\u00a0teins\n".encode()).value == {"title": "Pro\u00a0teins"}
