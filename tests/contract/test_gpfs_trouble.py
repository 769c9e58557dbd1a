"""What may go wrong with filesets, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import (
    Level,
    NotReady,
    Permanent,
    Transient,
    Unavailable,
    Unknown,
)
from tests.support.gpfs_full import FULL
from tests.support.gpfs_site import FileSystem, Ledger


def test_a_poison_item_fails_alone(fs: FileSystem, ledger: Ledger) -> None:
    keys = [ledger.provision(fileset=n, uid=2001, gid=3001) for n in ("a", "b", "c")]

    def meanwhile(command: str) -> None:
        if command == "mmlinkfileset":
            (fs.mount / "b").mkdir(exist_ok=True)

    fs.meanwhile = meanwhile
    outcomes = ledger.run()
    assert [isinstance(outcomes[k].fault, Permanent) for k in keys] == [False, True, False]
    assert outcomes[keys[0]].fault is outcomes[keys[2]].fault is None


def test_owner_and_mode_of_many_are_one_call_each(fs: FileSystem, ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        ledger.provision(fileset=name, uid=2001, gid=3001)
    ledger.converged()
    written = fs.written()
    assert (written.count("chown"), written.count("chmod")) == (1, 1)


def test_a_daemon_that_is_down_is_unavailable(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    fs.faults(daemon="down")
    fault = ledger.run()[key].fault
    assert isinstance(fault, Unavailable)
    assert "GPFS is down on this node" in fault.message
    fs.faults()
    ledger.converged()


def test_a_file_system_that_is_not_mounted_is_unavailable(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    ledger.converged()
    fs.written()
    fs.faults(mounted=False)
    fault = ledger.run()[key].fault
    assert isinstance(fault, Unavailable)
    assert fault.advice == "mount it: `mmmount fs1`"
    assert fs.written() == []


@pytest.mark.parametrize("inode", ["the listing's", "of another count"])
def test_a_fileset_whose_directory_is_lost_is_waited_for_alone(
    fs: FileSystem, ledger: Ledger, inode: str
) -> None:
    """Over NFS the mount point has another inode: then another fileset shows that it is mounted."""
    lost, sound = ledger.provision(fileset="a"), ledger.provision(fileset="b")
    ledger.converged()
    (fs.mount / "a").rmdir()
    if inode != "the listing's":
        state = json.loads((fs.directory / "state.json").read_text(encoding="utf-8"))
        state["inodes"] = {}
        (fs.directory / "state.json").write_text(json.dumps(state), encoding="utf-8")
    fresh = ledger.provision(fileset="c")
    fs.written()
    outcomes = ledger.run(lost, fresh)
    fault = outcomes[lost].fault
    assert isinstance(fault, NotReady)
    assert f"linked at {fs.mount}/a, but stat sees nothing there" in fault.message
    assert outcomes[fresh].fault is None
    assert "mmcrfileset" in fs.written()
    assert isinstance(ledger.run(lost)[lost].fault, NotReady)
    assert fs.written() == []
    assert ledger.run(sound)[sound].fault is None


def test_a_row_that_cannot_be_believed_stops_new_filesets_and_nothing_else(
    fs: FileSystem, ledger: Ledger
) -> None:
    old = ledger.provision(fileset="a", quota="1TiB")
    ledger.converged()
    fs.written()
    fs.mm("mmcrfileset", "fs1", "odd")
    state = json.loads((fs.directory / "state.json").read_text(encoding="utf-8"))
    state["filesets"]["odd"]["status"] = "Lin"
    (fs.directory / "state.json").write_text(json.dumps(state), encoding="utf-8")
    new = ledger.provision(fileset="b")
    ledger.provision(fileset="a", quota="2TiB")
    outcomes = ledger.run()
    assert outcomes[old].fault is None
    fault = outcomes[new].fault
    assert isinstance(fault, NotReady)
    assert "status is 'Lin'" in fault.message
    assert fs.written() == ["mmsetquota"]


def test_an_empty_list_for_who_is_not_root_creates_nothing(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    fs.faults(nonroot=True)
    assert isinstance(ledger.run()[key].fault, Unavailable)
    assert fs.written() == []


def test_a_quota_that_would_not_hold_is_refused(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    fs.faults(quotas="off")
    fault = ledger.run()[key].fault
    assert isinstance(fault, Permanent)
    assert "-Q yes" in fault.advice
    assert fs.written() == []


def test_a_command_that_fails_after_it_worked_is_not_believed(
    fs: FileSystem, ledger: Ledger
) -> None:
    ledger.provision(**FULL)
    fs.faults(lost={"mmcrfileset": "odd", "mmsetquota": "odd", "mmlinkfileset": "odd"})
    ledger.converged()


def test_a_write_without_an_answer_is_unknown_and_settles(fs: FileSystem) -> None:
    ledger = Ledger(fs.handler(timeout=2))
    key = ledger.provision(**FULL)
    fs.faults(slow={"mmcrfileset": 4})
    assert isinstance(ledger.run()[key].fault, Unknown)
    fs.faults()
    assert ledger.converged()["linked"] is True
    assert fs.written().count("mmcrfileset") == 1


def test_a_lock_is_waited_for(fs: FileSystem, ledger: Ledger) -> None:
    key = ledger.provision(**FULL)
    fs.faults(refuse={"mmlinkfileset": "The fileset lock for file system fs1 is busy."})
    assert isinstance(ledger.run()[key].fault, Transient)


def test_the_inventory_lists_all_but_root(fs: FileSystem, ledger: Ledger) -> None:
    ledger.provision(**FULL)
    ledger.converged()
    fs.mm("mmcrfileset", "fs1", "other", "-t", "Jane's")
    fs.mm("mmcrfileset", "fs1", "odd,name")
    found = dict(ledger.handler.inventory())
    assert sorted(found) == ["fs1/fileset/cf3", "fs1/fileset/other"]
    assert found["fs1/fileset/other"]["linked"] is False


def test_the_doctor_finds_all_well(fs: FileSystem, ledger: Ledger) -> None:
    findings = ledger.handler.check()
    assert {finding.level for finding in findings} == {Level.OK}
    assert len(findings) >= 5


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        ({"daemon": "down"}, "is down"),
        ({"quotas": "off"}, "does not enforce fileset quotas"),
        ({"mounted": False}, "not mounted"),
        ({"nonroot": True}, "not permitted"),
        ({"acl": "posix"}, "NFSv4"),
    ],
)
def test_the_doctor_names_what_is_wrong(
    fs: FileSystem, switches: dict[str, Any], words: str
) -> None:
    fs.faults(**switches)
    errors = [f for f in fs.handler(acl="project").check() if f.level is Level.ERROR]
    assert any(words in f"{f.message} {f.advice}" for f in errors), errors


def test_the_doctor_names_commands_that_are_not_there(tmp_path: Path) -> None:
    (finding,) = FileSystem(tmp_path / "gpfs").handler(mm_path="/nonexistent").check()
    assert finding.level is Level.ERROR
    assert finding.message == ("/nonexistent/mmgetstate cannot be run: No such file or directory")
    assert "`prefix`, `mm_path`" in finding.advice
