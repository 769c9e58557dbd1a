"""Progress on a terminal: bars end at the truth, and do not tear what else is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli_site import PROGRAM, Desk, user
from tests.support.terminals import Drawn, on_terminal


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Have a sandbox with five requests in staging."""
    desk = Desk(tmp_path / "site")
    for number in range(5):
        desk("submit", "-", stdin=user(f"u{number}").encode())
    return desk


def drawn(desk: Desk, *words: str, **environment: str) -> Drawn:
    """Run a verb on a terminal."""
    return on_terminal([*PROGRAM, *words], {"PROVISIONER_CONFIG": str(desk.config), **environment})


def test_the_bar_of_a_drain_ends_with_all_requests_counted(desk: Desk) -> None:
    bars = re.findall(r"(\d+)/(\d+)", " ".join(drawn(desk, "run", "--drain").frames))
    assert bars[-1] == ("5", "5")
    assert ("0", "0") not in bars


def test_what_is_logged_stands_on_lines_of_its_own(desk: Desk) -> None:
    frames = drawn(desk, "run", "--drain", "--verbose").frames
    logged = [frame for frame in frames if "INFO" in frame]
    assert len(logged) >= 5
    assert [line for line in logged if "requests" in line.split("INFO")[0]] == []


def test_a_request_that_is_waited_for_shows_its_steps_and_leaves_no_bar(desk: Desk) -> None:
    with desk.service():
        done = drawn(desk, "submit", "--wait", desk.file("jdoe.yaml", user("jdoe")))
    assert any("steps" in frame for frame in done.frames)
    assert done.screen[-1].startswith("done; more: provisioner show ")


def test_without_colour_no_colour_is_printed(desk: Desk) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[1-7]m")
    assert colour.search(drawn(desk, "run", "--drain").raw)
    desk("submit", "-", stdin=user("last").encode())
    assert not colour.search(drawn(desk, "run", "--drain", NO_COLOR="1").raw)
    assert "\x1b[" not in drawn(desk, "--help", NO_COLOR="1").raw
