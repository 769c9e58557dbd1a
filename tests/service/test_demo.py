"""`make demo`: a story that ends well, of which each scene fits one screen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 100, 40
MOST_LINES_OF_A_FILE = 12


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what the demo tells."""
    top = tmp_path_factory.mktemp("demo")
    program = top / "bin/provisioner"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom provisioner.cli.main import main\nmain()\n")
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DEMO": str(top / "site"),
    }
    done = subprocess.run(
        [ROOT / "deploy/demo"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scenes(story: str) -> list[str]:
    return re.split(r"\n── Scene ", story)


def rows(text: str) -> int:
    """Count the rows of a screen that a text fills, with long lines broken."""
    return sum(1 + max(0, len(line) - 1) // COLUMNS for line in text.splitlines())


def test_a_word_is_said_before_the_site_is_made(story: str) -> None:
    assert scenes(story)[0].startswith("Setting up a site below ")


def test_each_scene_fits_one_screen(story: str) -> None:
    told = scenes(story)
    assert len(told) == 6
    assert [scene for scene in told if rows(scene) > ROWS] == []


def test_no_file_is_shown_at_length(story: str) -> None:
    shown = [int(count) for count in re.findall(r"^\$ head -n (\d+)", story, re.M)]
    assert shown and max(shown) <= MOST_LINES_OF_A_FILE
    assert "$ cat " not in story


def test_the_story_has_its_turns(story: str) -> None:
    _, served, _, corrected, killed, now = scenes(story)
    assert "\ndone; more: provisioner show " in served
    assert re.search(r"\nrefused; .*\$ provisioner retry .*\ndone; ", corrected, re.S)
    assert re.search(r"kill -9 \d+\nKilled: \d+ done, \d+ begun.*\n50 done; ", killed, re.S)
    assert "50 of 50 homes are there" in killed
    assert re.search(r"57 requests done, in \d+ seconds", now)
    assert "52 homes, 2 filesets" in now
