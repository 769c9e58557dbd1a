"""What the fault tests share: a nursery of services, and the stage of the scenario."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
