"""Homes are made whole or not at all, on this host and by an agent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.contract import Conflict, Host, Owner, Unavailable
from provisioner.system.directories import RealHost
from tests.support.acls import AS_ROOT
from tests.support.directories import OWNER, look, mode_of, owner_of

pytestmark = AS_ROOT


def test_a_new_home_has_owner_group_and_mode(host: Host, root: Path) -> None:
    host.make(root, "jdoe", owner=Owner(20001, 20002), mode=0o2750, skeleton=None)
    seen = host.observe(root, "jdoe")
    assert (seen.present, seen.uid, seen.gid, seen.mode) == (True, 20001, 20002, 0o2750)
    assert [path.name for path in root.iterdir()] == ["jdoe"]


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """Give a skeleton of all that one may have, with modes that nobody expects."""
    top = tmp_path / "skeleton"
    (top / ".config" / "deep").mkdir(parents=True)
    (top / "shut").mkdir()
    (top / "shut" / "inner").write_text("in a directory that its owner may not enter")
    (top / "shut").chmod(0o000)
    (top / "sticky").mkdir()
    (top / "sticky").chmod(0o3770)
    for name, mode in (("plain", 0o644), ("unreadable", 0o000), ("suid", 0o6755), ("x", 0o111)):
        (top / name).write_text(name * 10_000)
        (top / name).chmod(mode)
    (top / ".config" / "deep" / "empty").touch()
    os.link(top / "plain", top / "same")
    (top / "out").symlink_to("/etc/passwd")
    (top / "dangling").symlink_to("nowhere")
    return top


def test_a_skeleton_is_copied_with_its_modes_and_belongs_to_the_owner(
    host: Host, root: Path, skeleton: Path
) -> None:
    host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=skeleton)
    home = root / "jdoe"
    names = {str(path.relative_to(home)) for path in home.rglob("*")}
    assert names == {str(path.relative_to(skeleton)) for path in skeleton.rglob("*")}
    assert {owner_of(path) for path in [home, *home.rglob("*")]} == {(20001, 20002)}
    modes = {name: mode_of(home / name) for name in ("shut", "sticky", "unreadable", "x", "plain")}
    assert modes == {
        "shut": 0o000, "sticky": 0o3770, "unreadable": 0o000, "x": 0o111, "plain": 0o644,
    }  # fmt: skip
    assert (home / "unreadable").read_text() == "unreadable" * 10_000


def test_no_file_of_a_skeleton_keeps_a_set_id_bit(host: Host, root: Path, skeleton: Path) -> None:
    host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=skeleton)
    assert mode_of(root / "jdoe" / "suid") == 0o755


def test_links_of_a_skeleton_are_copied_as_links_and_hard_links_as_files(
    host: Host, root: Path, skeleton: Path
) -> None:
    before = Path("/etc/passwd").stat()
    host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=skeleton)
    home = root / "jdoe"
    assert str((home / "out").readlink()) == "/etc/passwd"
    assert str((home / "dangling").readlink()) == "nowhere"
    assert Path("/etc/passwd").stat().st_uid == before.st_uid == 0
    assert (skeleton / "plain").stat().st_ino not in {
        (home / name).stat().st_ino for name in ("plain", "same")
    }


class Killed(BaseException):
    """The service dies: nothing catches this."""


def dies_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some files be given to their owner, and die at the next."""
    chown, left = os.fchown, [calls]

    def counted(opened: int, uid: int, gid: int) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        chown(opened, uid, gid)

    monkeypatch.setattr(os, "fchown", counted)


@pytest.mark.parametrize("calls", range(9))
def test_a_home_appears_whole_or_not_at_all(
    root: Path, skeleton: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    host = RealHost()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        dies_after(calls, patched)
        host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=skeleton)
    assert not (root / "jdoe").exists()
    assert host.children(root) == []
    host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=skeleton)
    assert [path.name for path in root.iterdir()] == ["jdoe"]
    assert len(list((root / "jdoe").rglob("*"))) == len(list(skeleton.rglob("*")))


@pytest.mark.parametrize("calls", range(3))
def test_a_directory_above_that_is_missing_is_roots_and_appears_whole_too(
    root: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    host = RealHost()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        dies_after(calls, patched)
        host.make(root, "people/j/jdoe", owner=OWNER, mode=0o700, skeleton=None)
    host.make(root, "people/j/jdoe", owner=OWNER, mode=0o700, skeleton=None)
    seen = {str(p.relative_to(root)): (*owner_of(p), mode_of(p)) for p in root.rglob("*")}
    assert seen == {
        "people": (0, 0, 0o755), "people/j": (0, 0, 0o755), "people/j/jdoe": (20001, 20002, 0o700),
    }  # fmt: skip


def test_directories_above_that_are_there_stay_as_they_are(host: Host, root: Path) -> None:
    (root / "j").mkdir(mode=0o711)
    os.chown(root / "j", 0, 20006)
    host.make(root, "j/jdoe", owner=OWNER, mode=0o700, skeleton=None)
    assert (*owner_of(root / "j"), mode_of(root / "j")) == (0, 20006, 0o711)


MOUNTED: dict[str, Callable[[Host, Path], object]] = {
    "observe": lambda host, root: host.observe(root, "jdoe", mounted=True),
    "make": lambda host, root: host.make(
        root, "j/jdoe", owner=OWNER, mode=0o700, skeleton=None, mounted=True
    ),
    "children": lambda host, root: host.children(root, mounted=True),
}


@pytest.mark.parametrize("verb", MOUNTED)
def test_a_root_that_has_to_be_mounted_and_is_not_is_away(
    host: Host, root: Path, verb: str
) -> None:
    with pytest.raises(Unavailable) as raised:
        MOUNTED[verb](host, root)
    assert raised.value.advice.startswith(f"mount {root}")
    assert list(root.iterdir()) == []


def test_a_mount_point_is_one(host: Host) -> None:
    assert host.children(Path("/proc"), mounted=True)


def test_a_directory_that_is_there_keeps_every_file(host: Host, root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o711)
    (root / "jdoe" / "thesis").write_text("years of work")
    before = look(root / "jdoe")
    with pytest.raises(Conflict):
        host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=None)
    assert look(root / "jdoe") == before
    assert [path.name for path in root.iterdir()] == ["jdoe"]


def test_what_an_interrupted_make_left_is_mended(
    host: Host, root: Path, skeleton: Path, outside: Path
) -> None:
    left = root / ".jdoe.provisioner-new"
    (left / "sub" / "deeper").mkdir(parents=True)
    (left / "sub" / "half").write_text("ha")
    (left / "sub").chmod(0o000)
    (left / "to-outside").symlink_to(outside)
    os.link(outside / "secret", left / "hard")
    host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=skeleton)
    assert not left.exists()
    assert not (root / "jdoe" / "sub").exists()
    assert (outside / "secret").read_text() == "root's own"
    assert (outside / "jdoe").is_dir()


def test_a_link_in_the_place_of_the_hidden_directory_is_not_followed(
    host: Host, root: Path, outside: Path
) -> None:
    (root / ".jdoe.provisioner-new").symlink_to(outside)
    before = look(outside)
    with pytest.raises(Conflict):
        host.make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=None)
    assert look(outside) == before
    assert not (root / "jdoe").exists()
