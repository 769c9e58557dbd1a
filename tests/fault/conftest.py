"""Fixtures that the fault tests share: a nursery of services, and the stage of the scenario."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.forms import Alone
from tests.fault.plain import Plain
from tests.fault.points import Nursery
from tests.fault.scenario import Stage


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Yield a process that forks services with everything imported."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Stage:
    """Return the stage, set once for all tests of a module."""
    return Stage(tmp_path_factory.mktemp("stage"), nursery, Alone(nursery))


@pytest.fixture
def plain(nursery: Nursery) -> Iterator[Plain]:
    """Return a site without backends."""
    with tempfile.TemporaryDirectory(prefix="provisioner-plain.") as top:
        Path(top).chmod(0o755)
        site = Plain(Path(top), nursery)
        yield site
        site.kill()
