"""What is done on a real host: whole or not at all, and never through a link that somebody laid.

All of it holds on this host, and as well where an agent does it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

import pytest

from provisioner.contract import Conflict, Host, Permanent, Unavailable
from provisioner.system.directories import RealHost
from tests.support import agents
from tests.support.acls import AS_ROOT, getfacl

pytestmark = AS_ROOT


class Owner(TypedDict):
    """To whom a directory is given."""

    uid: int
    gid: int


OWNER: Owner = {"uid": 20001, "gid": 20002}


@pytest.fixture(params=["this host", "an agent"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "this host":
        yield RealHost()
        return
    roots = [tmp_path / "home", tmp_path / "nowhere", Path("/proc")]
    skeletons = {"skeleton": tmp_path / "skeleton"}
    rules = agents.write_rules(
        tmp_path / "agent" / "agent.toml", roots=roots, root=agents.ANY, skeletons=skeletons
    )
    host = agents.host(rules)
    yield host
    host.agent.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    root.mkdir(mode=0o755)
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Give a directory that a hostile path leads to: nothing in it may ever change."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "secret").write_text("root's own")
    (outside / "jdoe").mkdir(mode=0o755)
    return outside


def look(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """Give mode, owner, group and time of change of all below a directory, and of itself."""
    seen = [directory, *sorted(directory.rglob("*"))]
    found = {str(path): path.lstat() for path in seen}
    return {p: (s.st_mode, s.st_uid, s.st_gid, s.st_ctime_ns) for p, s in found.items()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def owner_of(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


VERBS: dict[str, Callable[[Host, Path, str], object]] = {
    "observe": lambda host, root, path: host.observe(root, path),
    "make": lambda host, root, path: host.make(
        root, path, uid=20001, gid=20002, mode=0o700, skeleton=None
    ),
    "set_owner": lambda host, root, path: host.set_owner(root, path, uid=20001, gid=20002),
    "set_mode": lambda host, root, path: host.set_mode(root, path, mode=0o777),
    "set_acl": lambda host, root, path: host.set_acl(root, path, acl="u:20001:rwx"),
}
WRITES = [verb for verb in VERBS if verb not in {"observe", "make"}]


# Paths that somebody has prepared.


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


# Making.


def test_a_new_home_has_owner_group_and_mode(host: Host, root: Path) -> None:
    host.make(root, "jdoe", uid=20001, gid=20002, mode=0o2750, skeleton=None)
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
    host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=skeleton)
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
    host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=skeleton)
    assert mode_of(root / "jdoe" / "suid") == 0o755


def test_links_of_a_skeleton_are_copied_as_links_and_hard_links_as_files(
    host: Host, root: Path, skeleton: Path
) -> None:
    before = Path("/etc/passwd").stat()
    host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=skeleton)
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
        host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=skeleton)
    assert not (root / "jdoe").exists()
    assert host.children(root) == []
    host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=skeleton)
    assert [path.name for path in root.iterdir()] == ["jdoe"]
    assert len(list((root / "jdoe").rglob("*"))) == len(list(skeleton.rglob("*")))


@pytest.mark.parametrize("calls", range(3))
def test_a_directory_above_that_is_missing_is_roots_and_appears_whole_too(
    root: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    host = RealHost()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        dies_after(calls, patched)
        host.make(root, "people/j/jdoe", **OWNER, mode=0o700, skeleton=None)
    host.make(root, "people/j/jdoe", **OWNER, mode=0o700, skeleton=None)
    seen = {str(p.relative_to(root)): (*owner_of(p), mode_of(p)) for p in root.rglob("*")}
    assert seen == {
        "people": (0, 0, 0o755), "people/j": (0, 0, 0o755), "people/j/jdoe": (20001, 20002, 0o700),
    }  # fmt: skip


def test_directories_above_that_are_there_stay_as_they_are(host: Host, root: Path) -> None:
    (root / "j").mkdir(mode=0o711)
    os.chown(root / "j", 0, 20006)
    host.make(root, "j/jdoe", **OWNER, mode=0o700, skeleton=None)
    assert (*owner_of(root / "j"), mode_of(root / "j")) == (0, 20006, 0o711)


MOUNTED: dict[str, Callable[[Host, Path], object]] = {
    "observe": lambda host, root: host.observe(root, "jdoe", mounted=True),
    "make": lambda host, root: host.make(
        root, "j/jdoe", **OWNER, mode=0o700, skeleton=None, mounted=True
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
        host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=None)
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
    host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=skeleton)
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
        host.make(root, "jdoe", **OWNER, mode=0o700, skeleton=None)
    assert look(outside) == before
    assert not (root / "jdoe").exists()


# Changing.


def test_an_owner_is_set_on_the_directory_and_on_nothing_in_it(host: Host, root: Path) -> None:
    (root / "jdoe").mkdir()
    (root / "jdoe" / "file").touch()
    host.set_owner(root, "jdoe", **OWNER)
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


# Listing.


def test_children_are_the_directories_that_are_not_hidden(host: Host, root: Path) -> None:
    for name in ("jdoe", "asmith", ".hidden", ".jdoe.provisioner-new"):
        (root / name).mkdir()
    (root / "file").touch()
    (root / "link").symlink_to(root / "jdoe")
    assert host.children(root) == ["asmith", "jdoe"]


# Directories above a home: nobody but an admin may be able to exchange it.

GIVES: dict[str, Callable[[Host, Path, str], object]] = {
    verb: VERBS[verb] for verb in ("make", *WRITES)
}
NOT_ADMINS: dict[str, tuple[int, int]] = {
    "a member's": (OWNER["uid"], 0o755),
    "open to a group": (0, 0o775),
    "open to all": (0, 0o757),
}


@pytest.mark.parametrize("verb", GIVES)
@pytest.mark.parametrize("whose", NOT_ADMINS)
@pytest.mark.parametrize("path", ["theirs/jdoe", "theirs/deeper/jdoe"])
def test_nothing_is_made_or_given_below_a_directory_that_is_not_an_admins(
    host: Host, root: Path, verb: str, whose: str, path: str
) -> None:
    home = root / path
    if verb != "make":
        home.mkdir(parents=True)
        os.chown(home, OWNER["uid"], OWNER["gid"])
    else:
        home.parent.mkdir(parents=True)
    uid, mode = NOT_ADMINS[whose]
    os.chown(root / "theirs", uid, OWNER["gid"])
    (root / "theirs").chmod(mode)
    before = look(root)
    with pytest.raises(Permanent, match="no home is made or given there") as raised:
        GIVES[verb](host, root, path)
    assert str(root / "theirs") in raised.value.message
    assert look(root) == before


@pytest.mark.parametrize("whose", NOT_ADMINS)
@pytest.mark.parametrize("path", ["theirs/jdoe", "theirs/missing/jdoe", "theirs/a/b/jdoe"])
def test_a_look_says_whose_a_directory_above_is_whatever_is_missing_below_it(
    host: Host, root: Path, whose: str, path: str
) -> None:
    uid, mode = NOT_ADMINS[whose]
    (root / "theirs").mkdir()
    os.chown(root / "theirs", uid, OWNER["gid"])
    (root / "theirs").chmod(mode)
    seen = host.observe(root, path)
    assert not seen.present
    assert str(root / "theirs") in seen.above


def test_a_home_in_a_members_directory_is_closed_all_the_same(host: Host, root: Path) -> None:
    (root / "theirs" / "jdoe").mkdir(parents=True)
    for path in ("theirs", "theirs/jdoe"):
        os.chown(root / path, OWNER["uid"], OWNER["gid"])
    host.set_owner(root, "theirs/jdoe", uid=0, gid=OWNER["gid"])
    host.set_mode(root, "theirs/jdoe", mode=0o1000)
    assert owner_of(root / "theirs/jdoe") == (0, OWNER["gid"])
    assert mode_of(root / "theirs/jdoe") == 0o1000


def test_what_is_wrong_above_a_home_is_seen(host: Host, root: Path) -> None:
    (root / "theirs").mkdir()
    assert host.observe(root, "theirs/jdoe").above == ""
    os.chown(root / "theirs", OWNER["uid"], OWNER["gid"])
    for there in (False, True):
        seen = host.observe(root, "theirs/jdoe")
        assert (seen.present, f"belongs to uid {OWNER['uid']}" in seen.above) == (there, True)
        (root / "theirs" / "jdoe").mkdir(exist_ok=True)


def spoil_root(root: Path) -> None:
    os.chown(root, OWNER["uid"], OWNER["gid"])


def open_root(root: Path) -> None:
    root.chmod(0o777)


def spoil_above(root: Path) -> None:
    os.chown(root.parent, OWNER["uid"], OWNER["gid"])


def lead_by_a_members_link(root: Path) -> None:
    root.rename(root.parent / "real")
    root.symlink_to(root.parent / "real")
    os.lchown(root, OWNER["uid"], OWNER["gid"])


def lead_through_a_members_directory(root: Path) -> None:
    theirs = root.parent / "theirs"
    theirs.mkdir()
    root.rename(root.parent / "real")
    (theirs / "link").symlink_to(root.parent / "real")
    root.symlink_to(theirs / "link")
    os.chown(theirs, OWNER["uid"], OWNER["gid"])


@pytest.mark.parametrize("verb", [*VERBS, "children"])
@pytest.mark.parametrize(
    "spoil",
    [
        spoil_root,
        open_root,
        spoil_above,
        lead_by_a_members_link,
        lead_through_a_members_directory,
    ],
)
def test_a_root_that_others_could_exchange_is_not_worked_in(
    host: Host, root: Path, verb: str, spoil: Callable[[Path], None]
) -> None:
    (root / "jdoe").mkdir()
    host.observe(root, "jdoe")
    spoil(root)
    before = look(root.resolve())
    with pytest.raises(Unavailable, match=r"could (replace|lead it elsewhere)"):
        host.children(root) if verb == "children" else VERBS[verb](host, root, "jdoe")
    assert look(root.resolve()) == before


def test_a_root_that_an_admins_link_leads_to_is_worked_in(root: Path) -> None:
    root.rename(root.parent / "real")
    root.symlink_to("real")
    RealHost().make(root, "jdoe", **OWNER, mode=0o700, skeleton=None)
    assert owner_of(root.parent / "real" / "jdoe") == (OWNER["uid"], OWNER["gid"])
