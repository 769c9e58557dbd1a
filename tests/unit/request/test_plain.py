"""What is read line by line is what YAML's own parser reads; anything else is left to that."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.request import documents, plain
from provisioner.request.documents import InvalidDocument, dump
from tests.fault import fuzz

WORDS = st.text("ab1._/+@=%~:- #'\"\\[]{}|>!&*?,\t\rnul", max_size=12)
KEYS = st.text("abu_-.1:", min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | WORDS,
    lambda some: st.lists(WORDS, max_size=3) | st.dictionaries(KEYS, some, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.text(" ab1-:#'\"~=", max_size=10), max_size=8)


def agrees(text: str) -> bool:
    """Return True if a text is read here, and then as by YAML's parser, its order included."""
    read = plain.read(text)
    if read is None:
        return False
    document = documents._build(text)
    assert document is not None
    assert (document.value, document.lines) == read
    assert [*map(str, document.value)] == [*map(str, read[0])]
    assert [*document.lines] == [*read[1]]
    return True


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_what_programs_write_is_the_same_document(value: dict[str, object]) -> None:
    agrees(dump(value))


@given(ROWS)
def test_any_lines_are_the_same_document_or_left_to_yaml(rows: list[str]) -> None:
    agrees("\n".join(rows))


def test_mutated_requests_are_the_same_document_or_left_to_yaml() -> None:
    read = 0
    for body in islice(fuzz.inputs(3), 3000):
        try:
            text = documents._text(body, documents.SIZE, "")
        except InvalidDocument:
            continue
        read += agrees(text)
    assert read > 20


def test_requests_that_the_service_or_its_app_writes_need_no_other_parser() -> None:
    written = {
        "provisioner": "1", "action": "allocation.provision", "id": "coldfront-1-8231",
        "order": {"key": "allocation-42", "number": 7}, "reason": "ticket 8812",
        "allocation": {"id": 41, "project": {"code": "CF0003", "title": "Protein folding: part 2"},
                       "users": ["jdoe", "asmith"], "quota": {"space": "5TiB", "files": None}},
    }  # fmt: skip
    assert agrees(dump(written))


@pytest.mark.parametrize(
    "text",
    [
        "a: b\na: c\n", "a:\n- b\n", "a: [b]\n", "a: b  \n", "a: b # c\n", "a: |\n  b\n",
        "a: b\n  c\n", "a: b\n  c: d\n", "a: b: c\n", "a:\tb\n", "a: b\r\n", " a: b\n", "- a\n",
        "a: *b\n", "a: !b c\n", 'a: "\\x41"\n', "a: ü\n", "---\na: b\n", "a: b\n---\n", "? a\n",
        "a:\n    b: c\n  d: e\n", "a:\n  - b: c\n", "", "# a\n", "a:\n  b: c\n  - d\n",
        "a: 'b''c'\n", "a: ~\n", "a: -1\n",
        *("".join("  " * n + "a:\n" for n in range(levels)) for levels in (9, 40)),
        "a: b\n" + "".join(f"a{n}: b\n" for n in range(plain.LINES)),
    ],
)  # fmt: skip
def test_a_text_of_any_other_form_is_left_to_yaml(text: str) -> None:
    assert plain.read(text) is None
