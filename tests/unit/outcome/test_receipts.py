"""Receipts: whole, in the right place, and for nobody but their writer."""

import os
import pwd
from pathlib import Path

import pytest
import yaml

from provisioner.contract import Json
from provisioner.outcome import receipts
from tests.support import receipts_site
from tests.support.receipts_site import reads, receipts_root

ME = pwd.getpwuid(os.geteuid()).pw_name


def write(root: Path, writer: str, name: str, receipt: dict[str, Json] | None = None) -> Path:
    """Write a receipt and say where it is."""
    receipts_site.write(root, writer, name, receipt or {})
    return receipts.path(root, writer, name)


def test_a_receipt_is_written_and_rewritten(tmp_path: Path) -> None:
    path = write(tmp_path, ME, "coldfront-8231", {"state": "accepted"})
    assert path == tmp_path / ME / "coldfront-8231.yaml"
    write(tmp_path, ME, "coldfront-8231", {"state": "done"})
    assert yaml.safe_load(path.read_text()) == {"state": "done"}
    assert [entry.name for entry in path.parent.iterdir()] == ["coldfront-8231.yaml"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("coldfront-hpc1_8231.v2", "coldfront-hpc1_8231.v2"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("..", "%2E."),
        (".", "%2E"),
        ("", "%"),
        ("-rf", "%2Drf"),
        ("a/b", "a%2Fb"),
        ("a\nb\0c", "a%0Ab%00c"),
        ("gr\u00fcn", "gr%C3%BCn"),
        ("\ud800", "%ED%A0%80"),
        ("100%", "100%25"),
    ],
)
def test_hostile_ids_stay_in_their_directory(tmp_path: Path, name: str, file: str) -> None:
    assert receipts.safe(name) == file
    path = write(tmp_path, ME, name, {"state": "done"})
    assert path == tmp_path / ME / f"{file}.yaml"
    assert path.is_file()


def test_long_ids_are_cut_and_stay_different(tmp_path: Path) -> None:
    names = ["x" * 60_000 + end for end in "ab"]
    paths = {write(tmp_path, ME, name, {}) for name in names}
    assert len(paths) == 2
    assert all(len(path.name) < 255 for path in paths)


def test_a_link_under_the_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path = write(tmp_path, ME, "a", {})
    path.unlink()
    (tmp_path / "victim").write_text("precious")
    path.symlink_to(tmp_path / "victim")
    write(tmp_path, ME, "a", {"state": "done"})
    assert (tmp_path / "victim").read_text() == "precious"
    assert not path.is_symlink()


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Not a directory"):
        write(tmp_path, ME, "a", {})


def test_an_unknown_writer_gets_a_receipt_that_nobody_else_reads(tmp_path: Path) -> None:
    path = write(tmp_path, "no-such-user", "a", {})
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.fixture
def reachable(tmp_path: Path) -> Path:
    return receipts_root(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_its_writer_reads_a_receipt_and_no_other_user_does(reachable: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = write(reachable, "uid-54321", "a", {"state": "accepted"})
    finally:
        os.umask(before)
    assert reads(path, 54321, 54321)
    assert not reads(path, 54322, 54322)
    assert path.parent.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")
def test_without_acls_the_writers_group_is_let_in(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*arguments: object, **named: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", unsupported)
    daemon = pwd.getpwnam("daemon")
    path = write(reachable, "daemon", "a", {})
    assert daemon.pw_uid == daemon.pw_gid
    assert reads(path, daemon.pw_uid, daemon.pw_uid)
    assert not reads(path, 54322, 54322)
