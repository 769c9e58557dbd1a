"""The page of an operator's day says what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import day

LINES_OF_A_COMMAND = 12


def test_the_page_of_a_day_says_what_each_command_prints(tmp_path: Path) -> None:
    assert day.differences(day.played(tmp_path, day.PAGE.read_text())) == ""


def test_no_command_of_the_page_prints_more_than_a_dozen_lines() -> None:
    page = day.PAGE.read_text()
    typed = [piece for piece in day.pieces(page) if isinstance(piece, tuple)]
    assert len(typed) > 10
    assert [command for command, out in typed if len(out.splitlines()) > LINES_OF_A_COMMAND] == []


@pytest.mark.parametrize("printed", ["2 done; 3.1 s", "1 done; 0.2 s\nmore"])
def test_another_word_or_line_is_a_difference(printed: str) -> None:
    assert day.Typed("true", "1 done; 0.2 s", printed).differs


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("1 done; 0.2 s", "1 done; 12 s"),
        ("show 01M8M120XV6CP8CJHVQ2219Q6N", "show 01M8M122B01TNXZA59ETQ68PMV"),
        ("  58wqjb    14 s  x", "  yc8tzr  2 min  x"),
    ],
)
def test_another_time_or_id_is_no_difference(page: str, printed: str) -> None:
    assert not day.Typed("true", page, printed).differs
