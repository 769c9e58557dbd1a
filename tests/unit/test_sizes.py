"""A function fits on a screen, and a module is read in one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("provisioner", "handlers", "deploy", "tests")
LINES = 60
OF_MODULE = 400


def is_python(path: Path) -> bool:
    """Return True for a module, and for a script whose first line names Python."""
    if path.suffix == ".py":
        return True
    with path.open("rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"python" in first


def modules(folder: str) -> list[Path]:
    """List the modules and scripts of a folder, at any depth."""
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(path for path in files if is_python(path))


def long_functions(text: str) -> list[str]:
    """Name the functions of a module that have more than LINES lines, without decorators."""
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > LINES
    ]


@pytest.mark.parametrize(("lines", "found"), [(LINES, []), (LINES + 1, ["long"])])
def test_a_function_is_measured_from_its_def_to_its_last_line(lines: int, found: list[str]) -> None:
    assert long_functions("@decorated\ndef long():\n" + "    pass\n" * (lines - 1)) == found


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_is_longer_than_a_screen(folder: str) -> None:
    found = {
        str(path.relative_to(ROOT)): long_functions(path.read_text()) for path in modules(folder)
    }
    assert len(found) > 0
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_longer_than_a_sitting(folder: str) -> None:
    found = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in modules(folder)}
    assert len(found) > 0
    assert {path: lines for path, lines in found.items() if lines > OF_MODULE} == {}
