"""Roots of homes, and file systems over each transport, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import slurm_sites
from tests.support.gpfs_gui import RestFileSystem
from tests.support.gpfs_site import FileSystem, Ledger


@pytest.fixture(autouse=True)
def _served() -> Iterator[None]:
    """End what a test has served."""
    yield
    slurm_sites.close()


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


@pytest.fixture(params=[FileSystem, RestFileSystem], ids=["mm", "rest"])
def fs(request: pytest.FixtureRequest, tmp_path: Path) -> FileSystem:
    """Give an emulated file system, by commands and by REST."""
    made: FileSystem = request.param(tmp_path / "gpfs")
    return made


@pytest.fixture
def ledger(fs: FileSystem) -> Ledger:
    """Give claims on its filesets."""
    return Ledger(fs.handler())
