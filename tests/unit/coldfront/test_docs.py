"""docs/coldfront.md says what the app can be told, and with what commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioner.coldfront.asking import wanted

ROOT = Path(__file__).parents[3]
APP = ROOT / "provisioner" / "coldfront"
TEXT = (ROOT / "docs" / "coldfront.md").read_text()

SETTINGS = re.findall(r'_setting\(\s*"(\w+)"', (APP / "asking" / "options.py").read_text())
COMMANDS = [path.stem for path in (APP / "management" / "commands").glob("provisioner_*.py")]
ATTRIBUTES = [
    getattr(wanted, name)
    for name in (
        "RESOURCE", "CLUSTER", "ACCOUNT", "PARENT", "SPECS", "USER_SPECS", "SPACE", "FILES",
        "FILESET", "PATH", "KIND", "GID",
    )
]  # fmt: skip


@pytest.mark.parametrize(
    "name", [*(f"PROVISIONER_{name}" for name in SETTINGS), *COMMANDS, *ATTRIBUTES]
)
def test_it_is_documented(name: str) -> None:
    assert re.search(rf"`(coldfront )?{re.escape(name)}\b|`{re.escape(name)}`", TEXT)


def test_there_are_ten_steps() -> None:
    assert re.findall(r"^(\d+)\. ", TEXT, re.M) == [str(number) for number in range(1, 11)]
