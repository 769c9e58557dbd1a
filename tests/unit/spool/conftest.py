"""A spool."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.spool.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool.create(tmp_path / "spool")
    yield made
    made.close()
