"""The journal, its copies and its log are the service's alone, whatever the umask; a toy's too."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, user


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(below: Path) -> list[str]:
    """List what others may read or enter, whose directories let them."""
    found = []
    for path in [below, *below.rglob("*")]:
        if stat.S_IMODE(path.lstat().st_mode) & 0o077:
            found.append(str(path.relative_to(below)))
    return found


def test_a_sandbox_keeps_its_requests_to_its_owner(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    desk("backup")
    desk("backup", str(desk.root / "journal/mine.db"))
    assert open_to_others(desk.root / "journal") == []
    for place in ("active", "deferred", "held", "done", "failed", "quarantine"):
        assert stat.S_IMODE((desk.spool / place).stat().st_mode) == 0o700


def test_a_journal_that_is_open_to_others_is_closed_at_the_start(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    journal = desk.root / "journal/journal.db"
    journal.chmod(0o644)
    desk("run", "--drain")
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600


def test_a_rebuilt_journal_is_closed(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    for path in (desk.root / "journal").glob("journal.db*"):
        path.unlink()
    desk("journal", "rebuild")
    desk("run", "--drain")
    assert open_to_others(desk.root / "journal") == []


def test_init_makes_them_closed(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.set("journal: journal/journal.db", "journal: other/journal.db")
    desk.set("spool: spool", "spool: fresh")
    desk("init")
    assert open_to_others(desk.root / "other") == []
