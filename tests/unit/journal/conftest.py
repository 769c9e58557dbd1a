"""The databases in which a journal is tried: what it does in one, it does in the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.journal.database import Place
from tests.support.clusters import Cluster, serving

Places = Callable[[str], Place]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Serve a PostgreSQL; not below pytest's own directory, into which its user may not look."""
    with tempfile.TemporaryDirectory(prefix="provisioner-pg.") as top:
        Path(top).chmod(0o755)
        with serving(Path(top, "cluster")) as made:
            yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Give a function that names a place for a new journal."""
    if request.param == "sqlite":
        return lambda name: tmp_path / f"{name}.db"
    made: Cluster = request.getfixturevalue("cluster")
    return lambda _: made.make()
