"""A rename that replaces nothing, with the kernel's help and without."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.system.entry import Rename, rename_new, rename_own

BOTH = pytest.mark.parametrize("rename", [rename_new, rename_own])


@pytest.fixture(params=["as here", "as on NFS"])
def directory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    if request.param == "as on NFS":
        monkeypatch.setattr("provisioner.system.entry._renameat2", None)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_name_that_nobody_else_gives_is_taken(directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    rename_own(directory, "a", directory, "b\n\udcff")
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"b\n\xff"]


def test_a_free_name_is_taken_or_left_to_others_where_nothing_tells(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise AssertionError("others would see a file with two names")

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "a").write_text("a")
    try:
        rename_new(directory, "a", directory, "b")
    except FileExistsError:
        rename_own(directory, "a", directory, "b-with-an-id")
    assert len(list(tmp_path.iterdir())) == 1


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


@BOTH
def test_a_directory_takes_a_free_name(directory: int, tmp_path: Path, rename: Rename) -> None:
    (tmp_path / "a").mkdir()
    rename(directory, "a", directory, "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_directory_takes_no_other_ones_name(directory: int, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError):
        rename_new(directory, "a", directory, "b")
    assert (tmp_path / "a").is_dir()


def test_a_link_is_renamed_itself(directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    rename_own(directory, "a", directory, "b")
    assert (tmp_path / "b").is_symlink()
    assert not (tmp_path / "a").is_symlink()


@BOTH
def test_a_name_that_is_gone_is_said_to_be(directory: int, rename: Rename) -> None:
    with pytest.raises(FileNotFoundError):
        rename(directory, "a", directory, "b")
