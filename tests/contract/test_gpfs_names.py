"""Filesets whose names differ in case alone, and junctions that are somebody else's."""

from __future__ import annotations

import pytest

from provisioner.contract import Conflict, Permanent
from tests.support.gpfs_site import FileSystem, Ledger


def _make(fs: FileSystem, name: str, junction: str = "", comment: str = "of 2019") -> None:
    """Make a fileset as an admin's script did."""
    fs.mm("mmcrfileset", "fs1", name, "-t", comment, "--inode-space", "new")
    fs.mm("mmlinkfileset", "fs1", name, "-J", str(fs.mount / (junction or name)))


def _names(fs: FileSystem) -> set[str]:
    """Name the filesets that there are."""
    lines = fs.mm("mmlsfileset", "fs1", "-Y").splitlines()
    return {line.split(":")[7] for line in lines if ":HEADER:" not in line} - {"root"}


def test_a_fileset_that_is_there_in_another_case_is_that_one(
    fs: FileSystem, ledger: Ledger
) -> None:
    _make(fs, "ABC1136")
    ledger.provision(fileset="abc1136", quota="1TiB", gid=3001, adopt=True)
    state = ledger.converged()
    assert (state["name"], state["path"]) == ("ABC1136", str(fs.mount / "ABC1136"))
    assert state["comment"] == "hpc1:fs1/fileset/abc1136 of 2019"
    assert (state["block_hard"], state["gid"]) == (1 << 30, 3001)
    assert _names(fs) == {"ABC1136"}
    assert [key for key, _ in ledger.handler.inventory()] == ["fs1/fileset/abc1136"]
    fs.written()
    ledger.converged()
    assert fs.written() == []


def test_it_is_no_second_one_where_it_may_not_be_taken_over(fs: FileSystem, ledger: Ledger) -> None:
    _make(fs, "ABC1136")
    fs.written()
    key = ledger.provision(fileset="abc1136", quota="1TiB")
    fault = ledger.run()[key].fault
    assert isinstance(fault, Conflict)
    assert "the fileset ABC1136 exists" in fault.message
    assert fs.written() == []


def test_one_in_another_case_that_lies_elsewhere_is_a_conflict_that_names_it(
    fs: FileSystem, ledger: Ledger
) -> None:
    _make(fs, "ABC1136", "old")
    key = ledger.provision(fileset="abc1136", adopt=True)
    fault = ledger.run()[key].fault
    assert isinstance(fault, Conflict)
    assert f"fileset ABC1136 is linked at {fs.mount}/old" in fault.message
    assert _names(fs) == {"ABC1136"}


def test_it_closes_and_opens_under_its_own_name(fs: FileSystem, ledger: Ledger) -> None:
    _make(fs, "ABC1136")
    key = ledger.provision(fileset="abc1136", gid=3001, adopt=True)
    before = ledger.converged()
    ledger.suspend(key)
    assert ledger.converged()["mode"] == "0700"
    ledger.suspend(key, False)
    assert ledger.converged() == before


@pytest.mark.parametrize("closing", [False, True])
def test_one_that_somebody_renamed_is_not_gone_and_the_fault_says_its_name(
    fs: FileSystem, ledger: Ledger, closing: bool
) -> None:
    """Its junction stays, with everything in it: whoever is shut out would still be in."""
    key = ledger.provision(fileset="t1", gid=3001)
    before = ledger.converged()
    fs.mm("mmchfileset", "fs1", "t1", "-j", "t1new")
    ledger.suspend(key, closing)
    fault = ledger.run()[key].fault
    assert isinstance(fault, Conflict)
    assert "t1new has its mark 'hpc1:fs1/fileset/t1'" in fault.message
    fs.mm("mmchfileset", "fs1", "t1new", "-j", "t1")
    assert ledger.converged()["mode"] == ("0700" if closing else before["mode"])


def test_one_that_was_renamed_for_good_leaves_its_name_free(fs: FileSystem, ledger: Ledger) -> None:
    ledger.provision(fileset="t1", gid=3001)
    ledger.converged()
    fs.mm("mmchfileset", "fs1", "t1", "-j", "t1-of-2026", "-t", "kept")
    fs.mm("mmunlinkfileset", "fs1", "t1-of-2026")
    ledger.converged()
    assert _names(fs) == {"t1", "t1-of-2026"}


def test_of_two_that_differ_in_case_the_one_as_written_is_meant(
    fs: FileSystem, ledger: Ledger
) -> None:
    _make(fs, "ABC")
    _make(fs, "abc")
    ledger.provision(fileset="abc", adopt=True)
    assert ledger.converged()["name"] == "abc"


def test_which_of_two_in_other_cases_is_meant_is_asked(fs: FileSystem, ledger: Ledger) -> None:
    _make(fs, "ABC")
    _make(fs, "Abc")
    key = ledger.provision(fileset="abc", adopt=True)
    fault = ledger.run()[key].fault
    assert isinstance(fault, Conflict)
    assert "ABC and Abc" in fault.message
    assert _names(fs) == {"ABC", "Abc"}


def test_of_two_in_other_cases_the_one_with_our_mark_stays_ours(
    fs: FileSystem, ledger: Ledger
) -> None:
    _make(fs, "ABC", comment="hpc1:fs1/fileset/abc")
    _make(fs, "Abc")
    ledger.provision(fileset="abc")
    assert ledger.converged()["name"] == "ABC"


def test_a_junction_of_another_fileset_is_told_with_whose_it_is_before_anything_is_made(
    fs: FileSystem, ledger: Ledger
) -> None:
    _make(fs, "theirs", "here")
    fs.written()
    key = ledger.provision(fileset="ours", path="here")
    fault = ledger.run()[key].fault
    assert isinstance(fault, Conflict)
    assert "the fileset theirs is linked there (of 2019)" in fault.message
    assert fs.written() == []


@pytest.mark.parametrize("kind", ["a directory", "a file or link"])
def test_what_is_no_fileset_and_lies_at_a_junction_is_told_before_anything_is_made(
    fs: FileSystem, ledger: Ledger, kind: str
) -> None:
    path = fs.mount / "ours"
    path.mkdir() if kind == "a directory" else path.touch()
    key = ledger.provision(fileset="ours")
    fault = ledger.run()[key].fault
    assert isinstance(fault, Conflict)
    assert kind in fault.message
    assert "not a fileset" in fault.message
    assert fs.written() == []


def test_a_fileset_that_was_made_and_could_not_be_linked_is_told(
    fs: FileSystem, ledger: Ledger
) -> None:
    key = ledger.provision(fileset="ours", quota="1TiB")

    def meanwhile(command: str) -> None:
        if command == "mmlinkfileset":
            (fs.mount / "ours").mkdir(exist_ok=True)

    fs.meanwhile = meanwhile
    fault = ledger.run()[key].fault
    assert isinstance(fault, Permanent)
    assert "the fileset ours exists, but is not linked" in fault.message
    assert "mmdelfileset fs1 ours" in fault.advice


def test_once_the_junction_is_free_the_fileset_that_was_made_is_linked(
    fs: FileSystem, ledger: Ledger
) -> None:
    fs.mm("mmcrfileset", "fs1", "ours", "-t", "hpc1:fs1/fileset/ours", "--inode-space", "new")
    key = ledger.provision(fileset="ours")
    (fs.mount / "ours").mkdir()
    assert isinstance(ledger.run()[key].fault, Conflict)
    (fs.mount / "ours").rmdir()
    assert ledger.converged()["linked"]
