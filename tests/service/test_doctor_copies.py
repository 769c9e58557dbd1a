"""`doctor` finds a directory of copies that the service cannot use, before it is to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.recovery import backup
from tests.support.cli_site import Desk

pytestmark = pytest.mark.sqlite


def covered(desk: Desk) -> None:
    (desk.root / "journal/backup").write_text("a file")


def opened(desk: Desk) -> None:
    (desk.root / "journal/backup").mkdir(mode=0o755, exist_ok=True)


BACKUP: dict[str, tuple[Callable[[Desk], None], str]] = {
    "it cannot be made": (covered, "install -d -m 700 -o "),
    "it is open to others": (opened, "chmod 700 "),
}


@pytest.mark.parametrize(("harm", "advice"), BACKUP.values(), ids=BACKUP.keys())
def test_a_backup_directory_that_cannot_be_used_is_found(
    tmp_path: Path, harm: Callable[[Desk], None], advice: str
) -> None:
    desk = Desk(tmp_path / "site")
    harm(desk)
    found = desk("doctor", "--json", code=1).json
    [error] = [one for one in found if one["level"] == "error"]
    assert (error["subject"], error["advice"].startswith(advice)) == ("backup", True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_a_directory_that_the_default_of_copies_cannot_be_made_in_is_found(tmp_path: Path) -> None:
    """As beside the spool, where the journal is on a server."""
    try:
        os.seteuid(65534)
        with pytest.raises(ConfigError, match="nobody cannot make it: /"):
            backup.check_usable(tmp_path / "spool/backup")
    finally:
        os.seteuid(0)
