"""Directories that tests of this folder work on, and who works on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.contract import Host
from provisioner.system.directories import RealHost
from tests.support import agents


@pytest.fixture(params=["this host", "an agent"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """Give what works on directories: this process, or an agent that it asks."""
    if request.param == "this host":
        yield RealHost()
        return
    roots = [tmp_path / "home", tmp_path / "nowhere", Path("/proc")]
    skeletons = {"skeleton": tmp_path / "skeleton"}
    rules = agents.write_rules(
        tmp_path / "agent" / "agent.toml", roots=roots, root=agents.ANY, skeletons=skeletons
    )
    host = agents.host(rules)
    yield host
    host.agent.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the root of homes."""
    root = tmp_path / "home"
    root.mkdir(mode=0o755)
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Give a directory that a hostile path leads to: nothing in it may ever change."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "secret").write_text("root's own")
    (outside / "jdoe").mkdir(mode=0o755)
    return outside
