"""A handler in a package of its own: installed, found, and tried without a handler of ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests/support/licence_seats"
PAGE = ROOT / "docs/handlers.md"

WITHOUT_OURS = """
import sys
sys.modules["handlers"] = None
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
"""Runs pytest where `import handlers` is an ImportError."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that the package is installed in."""
    source = tmp_path_factory.mktemp("source") / "licence_seats"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("target")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(target)]
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(source)], check=True)
    return target


def test_its_entry_point_is_found_once_it_is_installed(installed: Path) -> None:
    points = [p for d in distributions(path=[str(installed)]) for p in d.entry_points]
    assert [(p.group, p.name, p.value) for p in points] == [
        ("provisioner.handlers", "licence_seat", "licence_seats:build")
    ]


def test_it_passes_the_suite_where_our_handlers_cannot_be_imported(
    installed: Path, tmp_path: Path
) -> None:
    tests = shutil.copy(PACKAGE / "test_licence_seats.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OURS, "-q", "-p", "no:cacheprovider", tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{installed}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b3\d passed", done.stdout), done.stdout


def test_the_page_shows_the_package_as_it_is() -> None:
    blocks = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert {name for name, _ in blocks} == {
        "pyproject.toml", "licence_seats.py", "test_licence_seats.py",
    }  # fmt: skip
    for name, block in blocks:
        # The formatter moves a method on a page to the margin, and lets it use the room.
        assert squeezed(block) in squeezed((PACKAGE / name).read_text()), block


def squeezed(text: str) -> str:
    return "".join(text.split())
