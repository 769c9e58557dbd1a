"""Roots of homes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the root of homes."""
    root = tmp_path / "home"
    root.mkdir(mode=0o755)
    return root


@pytest.fixture
def passable() -> Iterator[Path]:
    """Give a root that others may pass through to; pytest's own directories are shut."""
    with TemporaryDirectory(dir="/var/tmp") as top:
        Path(top).chmod(0o755)
        yield Path(top)
