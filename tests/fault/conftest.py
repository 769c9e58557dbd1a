"""What the fault tests share: a nursery of services, and the stage of the scenario."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.plain import Plain
from tests.fault.points import Nursery
from tests.fault.scenario import Stage


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Have services forked from a process that has everything imported."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Stage:
    """Set the stage, once for all tests of a module."""
    return Stage(tmp_path_factory.mktemp("stage"), nursery)


@pytest.fixture
def plain(nursery: Nursery) -> Iterator[Plain]:
    """Give a site without backends."""
    with tempfile.TemporaryDirectory(prefix="provisioner-plain.") as top:
        Path(top).chmod(0o755)
        site = Plain(Path(top), nursery)
        yield site
        site.kill()
