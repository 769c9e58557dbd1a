"""Quotas of filesets: what is used is read with the rest; what no cluster takes is told first."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.contract import Fault, Meter, Permanent, Unavailable
from tests.support.gpfs_site import FileSystem, Ledger


def test_usage_is_in_the_state_and_changes_nothing(fs: FileSystem) -> None:
    ledger = Ledger(fs.handler())
    ledger.provision(fileset="cf3", quota="1TiB", files=5000)
    ledger.converged()
    fs.written()
    fs.faults(
        usage={
            "cf3": {"blockUsage": "1610612736", "blockInDoubt": "4096", "blockGrace": "6 days"},
        }
    )
    assert ledger.converged()["usage"] == {
        "used": "1.5 TiB, 1 file, 4 MiB in doubt, grace of space 6 days",
        "block_usage": 1610612736,
        "block_in_doubt": 4096,
        "block_grace": "6 days",
        "files_usage": 1,
        "files_in_doubt": 0,
        "files_grace": "none",
    }
    assert fs.written() == []


def test_what_is_in_doubt_is_told_beside_what_is_used(fs: FileSystem) -> None:
    ledger = Ledger(fs.handler())
    key = ledger.provision(fileset="cf3", quota="1GiB", files=5000)
    ledger.converged()
    use = {"blockUsage": "1024", "blockInDoubt": "512", "filesInDoubt": "7", "filesGrace": "2 days"}
    fs.faults(usage={"cf3": use})
    assert ledger.handler.metered([key]) == {
        key: (
            Meter("space", 2**20, 2**30, 2**30, in_doubt=2**19),
            Meter("files", 1, 5000, 5000, "2 days", in_doubt=7),
        )
    }


def test_usage_that_cannot_be_read_stops_that_fileset_alone(fs: FileSystem) -> None:
    ledger = Ledger(fs.handler())
    bad, good = ledger.provision(fileset="cf3", quota="1TiB"), ledger.provision(fileset="cf4")
    ledger.converged()
    fs.written()
    fs.faults(usage={"cf3": {"blockUsage": "foo"}})
    seen = ledger.handler.observe([bad, good])
    fault = seen[bad]
    assert isinstance(fault, Unavailable)
    assert "blockUsage is 'foo', not a number, in a row: 'fs1:FILESET:1:cf3:foo:" in fault.message
    assert not isinstance(seen[good], Fault)
    assert fs.written() == []


def test_more_files_than_the_cluster_takes_are_told_before_anything_is_made(
    tmp_path: Path,
) -> None:
    """Only the commands tell the cluster's level; the API does not."""
    fs = FileSystem(tmp_path / "gpfs")
    ledger = Ledger(fs.handler())
    many = ledger.provision(fileset="cf3", files=134_217_728)
    most = ledger.provision(fileset="cf4", files=134_217_727)
    fs.faults(release="5.1.2.1")
    outcomes = ledger.run()
    fault = outcomes[many].fault
    assert isinstance(fault, Permanent)
    assert "134217727, the maximum of a cluster at release 5.1.2.1" in fault.message
    assert outcomes[most].fault is None
    fs.faults(release="5.1.3.0")
    assert ledger.converged(many)["files_hard"] == 134_217_728


def test_users_of_the_file_system_are_read_in_one_call(tmp_path: Path) -> None:
    fs = FileSystem(tmp_path / "gpfs")
    fs.faults(
        users={
            "20001": {"name": "jdoe", "blockUsage": "1024", "blockQuota": "2048"},
            "20002": {"blockUsage": "foo"},
        }
    )
    [(uid, (space, files))] = fs.handler().metered_users("").items()
    assert (uid, space) == (20001, Meter("space", 2**20, 2**21, 0))
    assert files == Meter("files", 0, 0, 0)
    assert [call[:2] for call in fs.calls] == [("mmrepquota", "-u")]


def test_users_count_in_the_fileset_that_is_named(fs: FileSystem) -> None:
    fs.faults(users={"20001": {"filesetname": "home", "blockUsage": "1"}})
    assert list(fs.handler().metered_users("home")) == [20001]


@pytest.mark.parametrize(
    ("counted", "named", "told"),
    [
        ("home", "", "fs1 counts users in each fileset apart"),
        ("", "home", "fs1 reports no users of the fileset home"),
        ("home", "hme", "fs1 reports no users of the fileset hme"),
    ],
)
def test_users_who_are_counted_otherwise_are_told(
    fs: FileSystem, counted: str, named: str, told: str
) -> None:
    fs.faults(users={"20001": {"filesetname": counted}})
    with pytest.raises(Permanent, match=told):
        fs.handler().metered_users(named)
