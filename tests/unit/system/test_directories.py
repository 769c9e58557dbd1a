"""Directories that are looked at and changed, on this host and by an agent."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.contract import Conflict, Host, Permanent, Unavailable
from tests.support.acls import AS_ROOT, getfacl
from tests.support.directories import OWNER, VERBS, WRITES, look, mode_of, owner_of

pytestmark = AS_ROOT


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_link_at_any_component_on_the_way_is_a_conflict(
    host: Host, root: Path, outside: Path, verb: str, depth: int
) -> None:
    parts = ["a", "b", "c"]
    (root / "/".join(parts[:depth])).mkdir(parents=True, exist_ok=True)
    (root / "/".join(parts[: depth + 1])).symlink_to(outside)
    before = look(outside)
    with pytest.raises(Conflict) as raised:
        VERBS[verb](host, root, "/".join([*parts, "jdoe"]))
    assert parts[depth] in raised.value.message
    assert look(outside) == before


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("target", ["outside/jdoe", "outside/secret", "nowhere"])
def test_a_home_that_is_a_link_is_never_followed(
    host: Host, root: Path, outside: Path, verb: str, target: str
) -> None:
    (root / "jdoe").symlink_to(root.parent / target)
    before = look(outside)
    with pytest.raises(Conflict):
        VERBS[verb](host, root, "jdoe")
    assert look(outside) == before


def test_a_link_where_a_home_should_come_to_be_stays_and_nothing_is_made(
    host: Host, root: Path, outside: Path
) -> None:
    (root / "jdoe").symlink_to(root.parent / "nowhere")
    with pytest.raises(Conflict):
        VERBS["make"](host, root, "jdoe")
    assert [path.name for path in root.iterdir()] == ["jdoe"]
    assert not (root.parent / "nowhere").exists()


@pytest.mark.parametrize(
    ("kind", "prepare"),
    [
        ("link", lambda path: path.symlink_to("/")),
        ("file", lambda path: path.write_text("")),
        ("file", lambda path: os.link(path.parent.parent / "outside/secret", path)),
        ("FIFO", os.mkfifo),
        ("device", lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))),
    ],
)
def test_what_is_no_directory_is_seen_as_what_it_is(
    host: Host, root: Path, outside: Path, kind: str, prepare: Callable[[Path], None]
) -> None:
    prepare(root / "jdoe")
    seen = host.observe(root, "jdoe")
    assert (seen.present, seen.kind) == (True, kind)


@pytest.mark.parametrize("verb", [*WRITES, "make"])
def test_a_file_where_a_home_should_be_is_a_conflict_and_stays(
    host: Host, root: Path, outside: Path, verb: str
) -> None:
    os.link(outside / "secret", root / "jdoe")
    before = look(outside)
    with pytest.raises(Conflict):
        VERBS[verb](host, root, "jdoe")
    after = look(outside)
    assert {path: seen[:3] for path, seen in after.items()} == {
        path: seen[:3] for path, seen in before.items()
    }
    assert (root / "jdoe").read_text() == "root's own"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", ["", "/", "..", "../outside", "a/../../outside", "/etc", "./jdoe"])
def test_a_path_that_leads_out_of_the_root_is_refused(
    host: Host, root: Path, outside: Path, verb: str, path: str
) -> None:
    before = look(outside)
    with pytest.raises(Permanent):
        VERBS[verb](host, root, path)
    assert look(outside) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_root_that_is_not_there_is_named(host: Host, tmp_path: Path, verb: str) -> None:
    with pytest.raises(Unavailable) as raised:
        VERBS[verb](host, tmp_path / "nowhere", "jdoe")
    assert str(tmp_path / "nowhere") in raised.value.advice


def test_an_owner_is_set_on_the_directory_and_on_nothing_in_it(host: Host, root: Path) -> None:
    (root / "jdoe").mkdir()
    (root / "jdoe" / "file").touch()
    host.set_owner(root, "jdoe", owner=OWNER)
    assert (owner_of(root / "jdoe"), owner_of(root / "jdoe" / "file")) == ((20001, 20002), (0, 0))


@pytest.mark.parametrize("mode", [0o000, 0o700, 0o2770, 0o1777])
def test_a_mode_is_set_whatever_the_umask(host: Host, root: Path, mode: int) -> None:
    (root / "jdoe").mkdir()
    host.set_mode(root, "jdoe", mode=mode)
    assert host.observe(root, "jdoe").mode == mode_of(root / "jdoe") == mode


def test_an_acl_is_what_getfacl_says(host: Host, root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o700)
    host.set_acl(root, "jdoe", acl="g:4711:r-x,u:1234:rwx,d:u:1234:r-x")
    assert getfacl(root / "jdoe") == {
        "user::rwx", "user:1234:rwx", "group::---", "group:4711:r-x", "mask::rwx", "other::---",
        "default:user::rwx", "default:user:1234:r-x", "default:group::---", "default:mask::r-x",
        "default:other::---",
    }  # fmt: skip
    assert set(host.observe(root, "jdoe").acl.split(",")) == {
        "u:1234:rwx", "g::---", "g:4711:r-x", "d:u:1234:r-x", "d:g::---", "d:o::---",
    }  # fmt: skip


def test_what_was_observed_of_an_acl_can_be_set_again(host: Host, root: Path) -> None:
    for name in ("jdoe", "asmith"):
        (root / name).mkdir()
    host.set_acl(root, "jdoe", acl="g:4711:r-x,g::--x,d:g:55:rwx,d:o::r--")
    host.set_acl(root, "asmith", acl=host.observe(root, "jdoe").acl)
    assert getfacl(root / "asmith") == getfacl(root / "jdoe")


def test_another_acl_gives_the_owning_group_nothing_more(host: Host, root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o700)
    host.set_acl(root, "jdoe", acl="g:4711:rwx,g::---")
    host.set_acl(root, "jdoe", acl="g:4712:rwx,g::---")
    assert "group::---" in getfacl(root / "jdoe")


def test_an_acl_is_taken_off_and_taking_off_none_is_nothing(host: Host, root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o700)
    host.set_acl(root, "jdoe", acl="g:4711:r-x,d:g:4711:r-x")
    for _ in range(2):
        host.set_acl(root, "jdoe", acl="")
        assert host.observe(root, "jdoe").acl == ""


def test_children_are_the_directories_that_are_not_hidden(host: Host, root: Path) -> None:
    for name in ("jdoe", "asmith", ".hidden", ".jdoe.provisioner-new"):
        (root / name).mkdir()
    (root / "file").touch()
    (root / "link").symlink_to(root / "jdoe")
    assert host.children(root) == ["asmith", "jdoe"]
