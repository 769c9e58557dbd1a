"""A rename that replaces nothing, with the kernel's help and without."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.system.rename import rename_new


@pytest.fixture(params=["renameat2", "link"])
def directory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    if request.param == "link":
        monkeypatch.setattr("provisioner.system.rename._renameat2", None)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_free_name_is_taken(directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    rename_new(directory, "a", directory, "b\n\udcff")
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"b\n\xff"]


@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_what_is_there_stays(directory: int, tmp_path: Path, what: str) -> None:
    (tmp_path / "a").write_text("a")
    if what == "file":
        (tmp_path / "b").write_text("b")
    else:
        (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        rename_new(directory, "a", directory, "b")
    assert (tmp_path / "a").read_text() == "a"
    assert (tmp_path / "b").is_symlink() is (what != "file")


def test_a_link_is_renamed_itself(directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    rename_new(directory, "a", directory, "b")
    assert (tmp_path / "b").is_symlink()
    assert not (tmp_path / "a").is_symlink()


def test_a_name_that_is_gone_is_said_to_be(directory: int) -> None:
    with pytest.raises(FileNotFoundError):
        rename_new(directory, "a", directory, "b")
