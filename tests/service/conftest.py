"""What tests of the whole service share: clocks that they move, a server that takes mail, and
intakes of one journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.system import ulid
from tests.support import databases, smtp_server
from tests.support.clocks import Clocks
from tests.support.intakes import Intake, Intakes
from tests.support.smtp_server import Mailbox


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    # Ids that other tests see are not of a time to come.
    monkeypatch.setattr(ulid, "_sequence", ulid._Sequence())
    return Clocks(monkeypatch)


@pytest.fixture
def port() -> int:
    return smtp_server.free_port()


@pytest.fixture
def mailbox(port: int) -> Iterator[Mailbox]:
    with smtp_server.serving(port) as mailbox:
        yield mailbox


@pytest.fixture
def intakes(tmp_path: Path) -> Iterator[Intakes]:
    made = Intakes(tmp_path, databases.cluster().make())
    with made.running:
        yield made


@pytest.fixture
def two(intakes: Intakes) -> tuple[Intake, Intake]:
    return intakes.make("north"), intakes.make("south")
