"""Homes with ACLs on a real host: whom they let in, and whom not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.contract import (
    ConfigError,
)
from tests.support.acls import AS_ROOT, getfacl
from tests.support.homes import (
    JDOE,
    as_user,
    bring,
    faults,
    homes,
)

pytestmark = AS_ROOT


def test_an_acl_lets_in_whom_it_names_and_nobody_else(passable: Path) -> None:
    bring(homes(passable, acl="g:4711:r-x,d:g:4711:r-x"), JDOE)
    home = passable / "jdoe"
    assert as_user(20001, 20002, home)
    assert as_user(20009, 4711, home)
    assert not as_user(20009, 20002, home)
    assert not as_user(20009, 4712, home)
    assert {"group::---", "mask::r-x", "default:group:4711:r-x"} <= getfacl(home)


def test_an_acl_on_a_home_that_was_wide_open_gives_the_owning_group_nothing(root: Path) -> None:
    home = root / "jdoe"
    home.mkdir(mode=0o755)
    os.chown(home, 20001, 20002)
    bring(homes(root, acl="g:4711:r-x"), JDOE)
    assert getfacl(home) == {"user::rwx", "group::---", "group:4711:r-x", "mask::r-x", "other::---"}


def test_another_acl_takes_the_place_of_the_old_one(root: Path) -> None:
    bring(homes(root, acl="g:4711:r-x,d:g:4711:rwx"), JDOE)
    bring(homes(root, acl="u:20009:rwx"), JDOE)
    assert getfacl(root / "jdoe") == {
        "user::rwx", "user:20009:rwx", "group::---", "mask::rwx", "other::---",
    }  # fmt: skip


def test_an_acl_is_taken_off_with_all_that_it_gave(root: Path) -> None:
    bring(homes(root, acl="g:4711:r-x,d:g:4711:rwx"), JDOE)
    bring(homes(root), JDOE)
    assert getfacl(root / "jdoe") == {"user::rwx", "group::---", "other::---"}


def test_a_suspension_closes_to_those_of_the_acl_and_a_resume_lets_them_in(passable: Path) -> None:
    home, handler = passable / "jdoe", homes(passable, acl="g:4711:r-x")
    ledger = bring(handler, JDOE)
    before = getfacl(home)
    ledger.suspend()
    assert faults(ledger.run(handler)) == {}
    assert not as_user(20009, 4711, home)
    ledger.suspend(False)
    assert faults(ledger.run(handler)) == {}
    assert getfacl(home) == before
    assert as_user(20009, 4711, home)


@pytest.mark.parametrize("acl", ["group:cf3:r-x", "g:cf3:r-x", "g:4711:rx", "x:1:r--", "g:1"])
def test_an_acl_that_is_none_is_refused_when_the_handler_is_built(root: Path, acl: str) -> None:
    with pytest.raises(ConfigError) as raised:
        homes(root, acl=acl)
    assert "acl" in raised.value.message
