"""Texts that people type: cleaned by one rule, never refused, and what was changed is told."""

from __future__ import annotations

import unicodedata

import pytest

from provisioner.contract.texts import line, lines, phrase
from provisioner.request.documents import Problem
from provisioner.request.request import Request, json_schema, parse_request

FAMILY = "\U0001f468\u200d\U0001f469"
"""A joined emoji."""


@pytest.mark.parametrize(
    ("text", "kept", "said"),
    [
        ("Protein folding", "Protein folding", ""),
        ("  two   blanks ", "two blanks", ""),
        ("line\nend\ttab\r\n", "line end tab", ""),
        ("no-break\u00a0space", "no-break space", ""),
        ("line\u2028separator", "line separator", ""),
        ("Pro\u00adteins", "Proteins", "left out U+00AD"),
        ("zero\u200bwidth", "zerowidth", "left out U+200B"),
        ("mark\u200e of direction", "mark of direction", "left out U+200E"),
        ("\ufeffbyte order", "byte order", "left out U+FEFF"),
        ("\uf0b7 bullet", "bullet", "left out U+F0B7"),
        (FAMILY, "\U0001f468\U0001f469", "left out U+200D"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e", "left out U+200C"),
        ("\x1b[2J", "[2J", "left out U+001B"),
        ("a\0b", "a b", "left out U+0000"),
        ("\x9b2J", "2J", "left out U+009B"),
        ("\u202egpj.exe", "gpj.exe", "left out U+202E"),
        ("\u200b", "", "left out U+200B"),
        ("a\u200b\u200c\u200d\u200e\u200f", "a", "left out U+200B, U+200C, U+200D and 2 more"),
        ("'quotes' $(id) {{ 7*7 }} \u05e9\u05dc\u05d5\u05dd", None, ""),
        ("x" * 500, None, ""),
        ("x" * 501, "x" * 499 + "\u2026", "shortened to 500 of 501 characters"),
        ("\u00ad" + "x" * 501, "x" * 499 + "\u2026",
         "left out U+00AD, shortened to 500 of 501 characters"),
    ],
    ids=lambda value: ascii(value)[:24],
)  # fmt: skip
def test_a_line(text: str, kept: str | None, said: str) -> None:
    told = line(text)
    assert (told.text, told.remark) == (text if kept is None else kept, said)
    assert line(told.text).text == told.text


def test_no_character_at_all_is_left_that_cannot_be_seen() -> None:
    every = "".join(chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) != "Cs")
    assert phrase(every, len(every)).isprintable()


def test_a_text_of_several_lines_keeps_them() -> None:
    assert lines("one\r\n\ttwo\x1b\u200b\n", 2000).text == "one\n\ttwo \n"


def allocation(title: str) -> Request:
    text = (
        "provisioner: 1\naction: allocation.provision\nallocation:\n  id: 1\n  resource: a\n"
        f'  project: {{code: c, title: "{title}"}}\n'
    )
    return parse_request(text.encode())


@pytest.mark.parametrize(
    "character", ["\\u00ad", "\\u200b", "\\u200e", "\\ufeff", "\\uf0b7", "\\e"]
)
def test_a_title_is_taken_and_what_was_changed_is_told_with_its_line(character: str) -> None:
    request = allocation(f"Pro{character}teins")
    assert request.values["project"]["title"] in ("Proteins", "Pro teins")
    [told] = request.notes
    assert (told.line, told.key) == (6, "allocation.project.title")
    assert told.message.startswith("left out U+")


def test_of_a_title_that_is_as_it_was_written_nothing_is_told() -> None:
    assert allocation("Protein folding").notes == ()


def test_a_title_that_is_too_long_is_shortened_and_told() -> None:
    request = allocation("x" * 600)
    assert len(request.values["project"]["title"]) == 500
    assert [told.message for told in request.notes] == ["shortened to 500 of 600 characters"]


@pytest.mark.parametrize("key", ["full_name", "given_name", "surname"])
def test_a_persons_name_is_cleaned_too(key: str) -> None:
    text = f'provisioner: 1\naction: user.provision\nuser: {{name: a, {key}: "J\\u00adane\\nDoe"}}'
    request = parse_request(text.encode())
    assert request.values["user"][key] == "Jane Doe"
    assert request.notes == (Problem(3, f"user.{key}", "left out U+00AD"),)


def test_a_reason_moves_no_cursor() -> None:
    text = 'provisioner: 1\naction: user.suspend\nuser: {name: a}\nreason: "a\\e[2J\\x9b\\0b\\nc"'
    assert parse_request(text.encode()).reason == "a [2J  b\nc"


def test_an_editor_takes_what_the_format_takes() -> None:
    assert '"maxLength": 500' not in str(json_schema()["$defs"]["ProjectRef"])
