"""Readers: who has a writer's name by now gets to the receipts, who had it does not."""

from __future__ import annotations

import grp
import logging
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from provisioner.outcome import receipts
from provisioner.outcome.readers import Readers
from tests.support import receipts_site
from tests.support.acls import AS_ROOT
from tests.support.receipts_site import reads, receipts_root

pytestmark = AS_ROOT

ALICE, BOB, CEM = 54321, 54322, 54323
USERS = 54300
"""A group that several have as their first."""


class Names:
    """A name service: who has which uid, and which group first."""

    def __init__(self) -> None:
        self.of: dict[int, str] = {}
        self.groups: dict[int, int] = {}

    def user(self, uid: int) -> pwd.struct_passwd:
        """Answer as pwd.getpwuid."""
        gid = self.groups.get(uid, uid)
        return pwd.struct_passwd((self.of[uid], "x", uid, gid, "", "/", "/bin/sh"))

    def named(self, name: str) -> pwd.struct_passwd:
        """Answer as pwd.getpwnam."""
        return self.user({known: uid for uid, known in self.of.items()}[name])

    def group(self, gid: int) -> grp.struct_group:
        """Answer as grp.getgrgid: everybody has a group of their own name."""
        name = "users" if gid == USERS else self.of[gid]
        return grp.struct_group((name, "x", gid, []))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(pwd, "getpwuid", made.user)
    monkeypatch.setattr(pwd, "getpwnam", made.named)
    monkeypatch.setattr(grp, "getgrgid", made.group)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return receipts_root(tmp_path)


def write(root: Path, writer: str) -> Path:
    """Write a receipt of a writer's and say where it is."""
    receipts_site.write(root, writer, "a", {"state": "done"})
    return receipts.path(root, writer, "a")


def who_reads(path: Path) -> set[int]:
    """Say which of the users read a file."""
    return {uid for uid in (ALICE, BOB, CEM) if reads(path, uid, USERS if uid == CEM else uid)}


def test_a_name_that_comes_back_under_another_uid_reads_from_its_next_receipt_on(
    root: Path, names: Names
) -> None:
    names.of = {ALICE: "alice"}
    assert who_reads(write(root, "alice")) == {ALICE}
    names.of = {BOB: "alice"}
    assert who_reads(write(root, "alice")) == {BOB}


def test_who_had_a_name_is_out_without_any_receipt(root: Path, names: Names) -> None:
    names.of = {ALICE: "alice"}
    path = write(root, "alice")
    names.of = {BOB: "alice"}
    Readers(root).revise()
    assert who_reads(path) == {BOB}


def test_who_is_given_the_uid_of_a_former_user_does_not_read_theirs(
    root: Path, names: Names
) -> None:
    names.of = {ALICE: "alice"}
    path = write(root, "alice")
    names.of = {ALICE: "dora"}
    Readers(root).revise()
    assert who_reads(path) == set()
    assert who_reads(write(root, "alice")) == set()
    assert who_reads(write(root, "dora")) == {ALICE}


def test_who_has_a_name_that_means_somebody_else_reads_what_is_theirs(
    root: Path, names: Names
) -> None:
    names.of = {BOB: "alice"}
    receipt = write(root, f"alice:{BOB}")
    assert who_reads(receipt) == {BOB}
    names.of = {BOB: "bob", CEM: "alice"}
    Readers(root).revise()
    assert who_reads(receipt) == set()


def test_a_uid_without_a_name_reads_its_own_until_it_has_one(root: Path, names: Names) -> None:
    path = write(root, f"uid-{ALICE}")
    assert who_reads(path) == {ALICE}
    names.of = {ALICE: "dora"}
    Readers(root).revise()
    assert who_reads(path) == set()


def test_while_the_name_service_is_away_a_writer_reads_on(root: Path, names: Names) -> None:
    names.of = {ALICE: "alice"}
    path = write(root, "alice")
    names.of = {}
    Readers(root).revise()
    assert who_reads(path) == {ALICE}


@pytest.mark.parametrize(
    "entry",
    [f"u:{BOB}:rx", f"u:{ALICE}:rx,u:{BOB}:rx", f"g:{BOB}:rx", "o:rx"],
    ids=["another user", "another user as well", "a group", "everybody"],
)
def test_whom_a_directory_lets_in_besides_is_out(root: Path, names: Names, entry: str) -> None:
    names.of = {ALICE: "alice", BOB: "bob"}
    path = write(root, "alice")
    subprocess.run(["setfacl", "-b", "-m", entry, str(path.parent)], check=True)
    assert BOB in who_reads(path)
    assert who_reads(write(root, "alice")) == {ALICE}


def test_a_directory_that_another_owns_becomes_the_services(root: Path, names: Names) -> None:
    names.of = {ALICE: "alice"}
    path = write(root, "alice")
    os.chown(path.parent, BOB, BOB)
    Readers(root).revise()
    assert path.parent.stat().st_uid == os.geteuid()
    assert who_reads(path) == {ALICE}


def test_a_service_without_root_says_how_to_make_a_directory_its_own(
    root: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.of = {ALICE: "alice"}
    path = write(root, "alice").parent
    os.chown(path, BOB, BOB)
    monkeypatch.setattr(os, "geteuid", lambda: CEM)
    with pytest.raises(PermissionError, match=f"belongs to uid {BOB}.*chown {CEM} {path}"):
        write(root, "alice")


def test_what_a_writer_of_no_name_has_is_for_nobody(root: Path, names: Names) -> None:
    path = write(root, "nobody-has-this")
    subprocess.run(["setfacl", "-m", f"u:{BOB}:rx", str(path.parent)], check=True)
    names.of = {BOB: "bob"}
    Readers(root).revise()
    assert who_reads(path) == set()


def test_where_all_is_as_it_should_be_nothing_is_written(root: Path, names: Names) -> None:
    names.of = {ALICE: "alice"}
    before = write(root, "alice").parent.stat().st_ctime_ns
    Readers(root).revise()
    assert receipts.path(root, "alice", "a").parent.stat().st_ctime_ns == before


class TestWithoutACLs:
    """Groups stand in for them, where a group is one writer's alone."""

    @pytest.fixture(autouse=True)
    def no_acls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unsupported(*arguments: object, **named: object) -> None:
            raise OSError(95, "Operation not supported")

        for name in ("setxattr", "getxattr", "removexattr"):
            monkeypatch.setattr(os, name, unsupported)

    def test_a_name_that_comes_back_under_another_uid_reads_and_the_former_does_not(
        self, root: Path, names: Names
    ) -> None:
        names.of = {ALICE: "alice"}
        path = write(root, "alice")
        assert who_reads(path) == {ALICE}
        names.of = {BOB: "alice"}
        Readers(root).revise()
        assert who_reads(path) == {BOB}

    def test_a_group_that_others_share_lets_nobody_in_and_that_is_told_once(
        self, root: Path, names: Names, caplog: pytest.LogCaptureFixture
    ) -> None:
        names.of, names.groups = {ALICE: "alice"}, {ALICE: USERS}
        assert who_reads(write(root, "alice")) == set()
        caplog.clear()
        readers = Readers(root)
        with caplog.at_level(logging.ERROR):
            readers.revise()
            readers.revise()
        assert [record.getMessage() for record in caplog.records] == [
            "receipts/alice: its writer cannot enter: the file system keeps no ACLs, and "
            f"uid {ALICE} has no group of their own"
        ]
