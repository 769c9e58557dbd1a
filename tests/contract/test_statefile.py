"""The files that emulated commands keep their state in, and what a command has to import for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handlers.emulators import statefile

ROOT = Path(__file__).parents[2]
VALUES: list[Any] = [
    {}, [], None, True, 7, -1.5, 2**70, "", 'a "b" \\ \n\t\x00', "Jürgen 🚀", {"a": [{"b": None}]},
]  # fmt: skip
BROKEN = ["", "{", "{} x", '{"a": 1,}', "nothing", '["\n"]']
COMMANDS = ["gpfs.mm", "gpfs.filesets", "gpfs.paths", "slurm.programs", "_getent_program"]
SLOW = ["json", "re", "enum", "contextlib", "collections", "typing", "pathlib"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_written_is_json_and_is_read_again(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "state.json"
    statefile.write(str(path), value)
    assert json.loads(path.read_text()) == value == statefile.load(str(path))


@pytest.mark.parametrize("text", BROKEN, ids=repr)
def test_what_is_not_json_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting|Invalid|Illegal"):
        statefile.parse(text)


def test_a_change_is_kept_unless_something_was_raised(tmp_path: Path) -> None:
    path, lock = str(tmp_path / "state.json"), str(tmp_path / "lock")
    statefile.write(path, {"n": 1})
    with statefile.Held(path, lock, changes=True) as state:
        state["n"] = 2
    with pytest.raises(KeyError), statefile.Held(path, lock, changes=True) as state:
        state["n"] = 3
        raise KeyError
    assert statefile.load(path) == {"n": 2}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_nothing_that_takes_as_long_as_its_own_start(name: str) -> None:
    text = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import handlers.emulators.{name}"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", f"{text}; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) & set(SLOW) == set()
