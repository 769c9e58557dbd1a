"""Directories above a home: nobody but an admin may be able to exchange it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.contract import Host, Owner, Permanent, Unavailable
from provisioner.system.directories import RealHost
from tests.support.acls import AS_ROOT
from tests.support.directories import OWNER, VERBS, WRITES, look, mode_of, owner_of

pytestmark = AS_ROOT


GIVES: dict[str, Callable[[Host, Path, str], object]] = {
    verb: VERBS[verb] for verb in ("make", *WRITES)
}


NOT_ADMINS: dict[str, tuple[int, int]] = {
    "a member's": (OWNER.uid, 0o755),
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
        os.chown(home, OWNER.uid, OWNER.gid)
    else:
        home.parent.mkdir(parents=True)
    uid, mode = NOT_ADMINS[whose]
    os.chown(root / "theirs", uid, OWNER.gid)
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
    os.chown(root / "theirs", uid, OWNER.gid)
    (root / "theirs").chmod(mode)
    seen = host.observe(root, path)
    assert not seen.present
    assert str(root / "theirs") in seen.above


def test_a_home_in_a_members_directory_is_closed_all_the_same(host: Host, root: Path) -> None:
    (root / "theirs" / "jdoe").mkdir(parents=True)
    for path in ("theirs", "theirs/jdoe"):
        os.chown(root / path, OWNER.uid, OWNER.gid)
    host.set_owner(root, "theirs/jdoe", owner=Owner(0, OWNER.gid))
    host.set_mode(root, "theirs/jdoe", mode=0o1000)
    assert owner_of(root / "theirs/jdoe") == (0, OWNER.gid)
    assert mode_of(root / "theirs/jdoe") == 0o1000


def test_what_is_wrong_above_a_home_is_seen(host: Host, root: Path) -> None:
    (root / "theirs").mkdir()
    assert host.observe(root, "theirs/jdoe").above == ""
    os.chown(root / "theirs", OWNER.uid, OWNER.gid)
    for there in (False, True):
        seen = host.observe(root, "theirs/jdoe")
        assert (seen.present, f"belongs to uid {OWNER.uid}" in seen.above) == (there, True)
        (root / "theirs" / "jdoe").mkdir(exist_ok=True)


def spoil_root(root: Path) -> None:
    os.chown(root, OWNER.uid, OWNER.gid)


def open_root(root: Path) -> None:
    root.chmod(0o777)


def spoil_above(root: Path) -> None:
    os.chown(root.parent, OWNER.uid, OWNER.gid)


def lead_by_a_members_link(root: Path) -> None:
    root.rename(root.parent / "real")
    root.symlink_to(root.parent / "real")
    os.lchown(root, OWNER.uid, OWNER.gid)


def lead_through_a_members_directory(root: Path) -> None:
    theirs = root.parent / "theirs"
    theirs.mkdir()
    root.rename(root.parent / "real")
    (theirs / "link").symlink_to(root.parent / "real")
    root.symlink_to(theirs / "link")
    os.chown(theirs, OWNER.uid, OWNER.gid)


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
    with pytest.raises(Unavailable, match=r"could (replace|change its target)"):
        host.children(root) if verb == "children" else VERBS[verb](host, root, "jdoe")
    assert look(root.resolve()) == before


def test_a_root_that_an_admins_link_leads_to_is_worked_in(root: Path) -> None:
    root.rename(root.parent / "real")
    root.symlink_to("real")
    RealHost().make(root, "jdoe", owner=OWNER, mode=0o700, skeleton=None)
    assert owner_of(root.parent / "real" / "jdoe") == (OWNER.uid, OWNER.gid)
