"""Root makes no file in the directories of a service that another user runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.cli_site import PROGRAM, Desk

pytestmark = pytest.mark.root

SERVICE = 65534


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A site of a service's user, whose verbs are typed by root."""
    with TemporaryDirectory() as made:  # others may not enter pytest's own directory
        Path(made).chmod(0o755)
        desk = Desk(Path(made) / "box")
        desk("backup")
        subprocess.run(["chown", "--recursive", f"{SERVICE}:{SERVICE}", made], check=True)
        yield desk


def doctor(desk: Desk) -> str:
    """Return what `doctor` tells the service's user."""
    become = ["setpriv", f"--reuid={SERVICE}", f"--regid={SERVICE}", "--clear-groups"]
    env = {**os.environ, "PROVISIONER_CONFIG": str(desk.config)}
    words = [*become, *PROGRAM, "doctor"]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("words", [("backup",), ("journal", "rebuild"), ("run", "--drain")])
def test_root_is_told_whose_the_files_are_and_leaves_none(
    desk: Desk, words: tuple[str, ...]
) -> None:
    told = desk(*words, code=4).err
    assert "belongs to nobody, you are root: what you make there would be root's" in told
    assert "what to do: type it as that user: sudo -u nobody provisioner" in told
    made = [*desk.spool.rglob("*"), *(desk.root / "journal").rglob("*")]
    assert [path for path in made if path.lstat().st_uid == 0] == []


def test_a_file_that_root_names_gets_a_copy(desk: Desk, tmp_path: Path) -> None:
    desk("backup", str(tmp_path / "copy.db"))
    assert (tmp_path / "copy.db").stat().st_uid == 0


def test_a_copy_that_the_service_may_not_read_is_not_called_damaged(desk: Desk) -> None:
    [copy] = (desk.root / "journal" / "backup").glob("journal-*.db")
    os.chown(copy, 0, 0)
    said = doctor(desk)
    assert f"not counted, as the service may not read it: {copy}" in said
    assert "damaged" not in said
