"""The versions that `make oldest` runs on are those that setup.cfg allows at the least."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_each_requirement_s_lower_bound_is_the_version_that_is_run() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    asked = setup["options"]["install_requires"]
    bounds = dict(re.findall(r"^([a-z0-9-]+)>=([0-9.]+),<[0-9.]+$", asked, re.MULTILINE))
    pins = re.findall(
        r"^([a-z0-9-]+)==(\S+)$", (ROOT / "deploy/oldest.txt").read_text(), re.MULTILINE
    )
    run = {name: version for name, version in pins if name in bounds}
    assert len(bounds) == len([line for line in asked.splitlines() if line and line[0] != "#"])
    assert {name: _parts(version) for name, version in run.items()} == {
        name: _parts(version) for name, version in bounds.items()
    }


def _parts(version: str) -> list[str]:
    """Return a version's numbers, without zeros at the end: 6.0.0 is 6."""
    return re.sub(r"(\.0)+$", "", version).split(".")
