"""Filesets come to be, are closed and opened, and are not taken from others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.contract import (
    Conflict,
    NotReady,
)
from tests.support.gpfs_full import FULL, MARK
from tests.support.gpfs_site import Crash, FileSystem, Ledger


def test_a_fileset_comes_to_be_and_a_second_run_changes_nothing(
    fs: FileSystem, ledger: Ledger
) -> None:
    key = ledger.provision(**FULL)
    state = ledger.converged()
    assert fs.written() == [*fs.creation, "chown", "chmod", "mmputacl"]
    assert (state["uid"], state["gid"], state["mode"]) == (2001, 3001, "2770")
    assert state["comment"] == MARK
    assert state["block_hard"] == state["block_soft"] == 5 << 30
    assert state["max_inodes"] == 20480
    assert "group:cf3:rwx-" in state["acl"]
    assert ledger.handler.outputs(state) == {"path": str(fs.mount / "cf3"), "fileset": "cf3"}
    (fs.mount / "cf3" / "a file").write_text("data")
    ledger.converged(key)
    assert fs.written() == []


def test_planning_writes_nothing(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    state = ledger.handler.observe([key])[key]
    assert not isinstance(state, Exception)
    want = ledger.handler.merge(key, tuple(ledger.claims[key].values()), None)
    assert ledger.handler.plan(key, want, state)
    assert fs.written() == []


def test_a_batch_is_read_by_one_question_for_all(tmp_path: Path) -> None:
    fs = FileSystem(tmp_path / "gpfs")
    ledger = Ledger(fs.handler())
    for name in ("a", "b", "c"):
        ledger.provision(fileset=name, quota="1GiB")
    ledger.converged()
    fs.calls.clear()
    ledger.handler.observe(list(ledger.claims))
    asked = sorted(call[0] for call in fs.calls)
    assert asked == ["mmgetacl"] * 3 + ["mmlsfileset", "mmlsfs", "mmrepquota", "stat"]


@pytest.mark.parametrize("writes", [1, 2, 3, 4, 5, 6])
def test_a_crash_after_any_write_converges(fs: FileSystem, ledger: Ledger, writes: int) -> None:
    ledger.provision(**FULL)
    fs.crash_after = writes
    with pytest.raises(Crash):
        ledger.run()
    state = ledger.converged()
    assert (state["uid"], state["mode"], state["linked"]) == (2001, "2770", True)
    assert len(fs.written()) == 6


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_crash_while_closing_keeps_what_was_saved(
    fs: FileSystem, ledger: Ledger, writes: int
) -> None:
    key = ledger.provision(**FULL)
    before = ledger.converged()
    ledger.suspend(key)
    fs.crash_after = writes
    with pytest.raises(Crash):
        ledger.run()
    assert ledger.converged()["uid"] == 0
    ledger.suspend(key, False)
    assert ledger.converged() == before


def test_suspending_closes_and_resuming_restores(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(fileset="cf3", quota="1TiB")
    ledger.converged()
    path = fs.mount / "cf3"
    (path / "data").write_text("kept")
    # What an admin set by hand, and no claim speaks of, comes back, too.
    fs.mm("chown", "-h", "2001:3001", "--", str(path))
    before = ledger.converged()
    ledger.suspend(key)
    closed = ledger.converged()
    assert (closed["uid"], closed["gid"], closed["mode"]) == (0, 0, "0700")
    assert closed["block_hard"] == 1 << 30
    ledger.converged()
    ledger.suspend(key, False)
    assert ledger.converged() == before
    assert (path / "data").read_text() == "kept"


def test_a_wanted_acl_comes_back_after_a_suspension(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(fileset="cf3", acl="project")
    before = ledger.converged()
    ledger.suspend(key)
    assert "group@" not in ledger.converged()["acl"]
    ledger.suspend(key, False)
    assert ledger.converged()["acl"] == before["acl"]


def test_what_nobody_claims_is_closed_and_kept(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    ledger.converged()
    ledger.claims[key] = {}
    state = ledger.converged()
    assert (state["uid"], state["mode"], state["linked"]) == (0, "0700", True)
    assert not any("unlink" in call[0] or "del" in call[0] for call in fs.calls)


def test_a_suspended_fileset_that_never_was_is_not_made(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    ledger.suspend(key)
    assert ledger.converged()["present"] is False
    assert fs.written() == []


def test_limits_change_and_are_rounded_up(fs: FileSystem, ledger: Ledger) -> None:
    ledger.provision(fileset="cf3", quota="1000001", files=1000)
    assert ledger.converged()["block_hard"] == 4096
    fs.written()
    ledger.provision(fileset="cf3", quota="10MiB", files=90000)
    state = ledger.converged()
    assert (state["block_hard"], state["files_hard"], state["max_inodes"]) == (12288, 90000, 90112)
    assert fs.written() == ["mmsetquota", "mmchfileset"]


def test_an_inode_limit_that_the_file_system_raised_by_itself_stays(
    fs: FileSystem, ledger: Ledger
) -> None:
    ledger.provision(fileset="cf3", inode_limit=2048)
    assert ledger.converged()["max_inodes"] == 2048
    fs.faults(inodes={"cf3": 3000})
    fs.written()
    assert ledger.converged()["max_inodes"] == 4096
    assert fs.written() == []


def test_an_inode_limit_above_what_the_file_system_raised_it_to_is_set(
    fs: FileSystem, ledger: Ledger
) -> None:
    ledger.provision(fileset="cf3", inode_limit=2048)
    ledger.converged()
    fs.faults(inodes={"cf3": 3000})
    ledger.provision(fileset="cf3", inode_limit=8192)
    assert ledger.converged()["max_inodes"] == 8192


def test_two_allocations_share_a_fileset(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision("allocation:1", fileset="cf3", quota="1TiB")
    ledger.provision("allocation:2", fileset="cf3", quota="3TiB")
    assert ledger.converged()["block_hard"] == 3 << 30
    del ledger.claims[key]["allocation:2"]
    assert ledger.converged()["block_hard"] == 1 << 30


def test_a_dependent_fileset_in_the_batch_of_its_parent(fs: FileSystem, ledger: Ledger) -> None:
    low = ledger.provision(fileset="aa", kind="dependent", parent="zz", quota="1GiB")
    ledger.provision(fileset="zz", quota="1TiB")
    ledger.converged()
    state = ledger.converged(low)
    assert (state["independent"], state["space"]) == (False, "zz")
    assert state["path"] == str(fs.mount / "zz" / "aa")


def test_a_parent_that_is_not_there_yet_is_waited_for(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(fileset="aa", kind="dependent", parent="zz")
    assert isinstance(ledger.run()[key].fault, NotReady)
    ledger.provision(fileset="zz")
    ledger.converged()


def test_a_directory_above_the_junction_is_waited_for(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(fileset="cf3", path="projects/cf3", quota="1GiB")
    fault = ledger.run()[key].fault
    assert isinstance(fault, NotReady)
    assert str(fs.mount / "projects") in fault.advice
    (fs.mount / "projects").mkdir()
    assert ledger.converged()["linked"] is True


def test_a_fileset_of_others_is_left_alone(fs: FileSystem, ledger: Ledger) -> None:
    fs.mm("mmcrfileset", "fs1", "cf3", "-t", "Jane's", "--inode-space", "new")
    key = ledger.provision(**FULL)
    assert isinstance(ledger.run()[key].fault, Conflict)
    assert fs.written() == []


def test_it_is_taken_over_when_asked_to(fs: FileSystem, ledger: Ledger) -> None:
    fs.mm("mmcrfileset", "fs1", "cf3", "-t", "Jane's", "--inode-space", "new")
    ledger.provision(**FULL, adopt=True)
    assert ledger.converged()["comment"] == f"{MARK} Jane's"


def test_one_that_fits_is_marked(fs: FileSystem, ledger: Ledger) -> None:
    fs.mm("mmcrfileset", "fs1", "cf3", "--inode-space", "new")
    fs.mm("mmlinkfileset", "fs1", "cf3", "-J", str(fs.mount / "cf3"))
    ledger.provision(fileset="cf3", mode="0700")
    assert ledger.converged()["comment"] == MARK
    assert fs.written() == ["mmchfileset"]


def test_an_unlinked_fileset_is_linked_again_with_its_data(fs: FileSystem, ledger: Ledger) -> None:
    ledger.provision(**FULL)
    ledger.converged()
    (fs.mount / "cf3" / "data").write_text("kept")
    fs.mm("mmunlinkfileset", "fs1", "cf3")
    fs.written()
    ledger.converged()
    assert fs.written()[0] == "mmlinkfileset"
    assert (fs.mount / "cf3" / "data").read_text() == "kept"


def test_a_junction_that_became_a_link_is_not_followed(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    ledger.converged()
    fs.written()
    (fs.mount / "cf3").rename(fs.mount / "moved")
    (fs.mount / "cf3").symlink_to("/etc")
    ledger.provision(fileset="cf3", mode="0777")
    assert isinstance(ledger.run()[key].fault, Conflict)
    assert fs.written() == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="real ownership needs root")
def test_members_of_the_group_may_write_until_it_is_suspended() -> None:
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        fs = FileSystem(Path(directory) / "gpfs", real_ownership=True)
        ledger = Ledger(fs.handler())
        key = ledger.provision(**FULL)
        ledger.converged()
        path = fs.mount / "cf3"
        assert _may_write(path, uid=2002, gid=3001)
        assert not _may_write(path, uid=2002, gid=3002)
        ledger.suspend(key)
        ledger.converged()
        assert not _may_write(path, uid=2002, gid=3001)
        ledger.suspend(key, False)
        ledger.converged()
        assert _may_write(path, uid=2002, gid=3001)
        assert [file.name for file in path.iterdir()] == ["2002"]


def _may_write(path: Path, uid: int, gid: int) -> bool:
    """Say whether a process of a user and group can make a file in a directory."""
    done = subprocess.run(
        ["/usr/bin/touch", str(path / str(uid))],
        user=uid, group=gid, extra_groups=[], capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0
