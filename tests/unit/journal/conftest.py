"""The databases in which a journal is tried: what it does in one, it does in the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.journal.database import Place
from tests.support import databases
from tests.support.clusters import Cluster

Places = Callable[[str], Place]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Serve a PostgreSQL."""
    return databases.cluster()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Give a function that names a place for a new journal."""
    if request.param == "sqlite":
        return lambda name: tmp_path / f"{name}.db"
    made: Cluster = request.getfixturevalue("cluster")
    return lambda _: made.make()
