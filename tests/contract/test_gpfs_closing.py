"""Filesets are closed below directories of a project's members, and given to nobody there.

By an agent with the shipped configuration, and by commands that go by name. Where real ownership
is needed, members are processes of their own uids.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from handlers.gpfs.state import Fileset, exchanged
from handlers.gpfs.transport import Entry
from provisioner.agent.client import runner
from provisioner.contract import Conflict, Fault, Key, Permanent
from tests.support.acls import AS_ROOT
from tests.support.agent_sites import shipped
from tests.support.gpfs_site import FileSystem, Ledger
from tests.support.members import GROUP, as_member

pytestmark = AS_ROOT

PARENT, DEPENDENT = "allocation:1", "allocation:2"
AGENT, BY_NAME = ["agent"], list[str]()


@pytest.fixture
def fs() -> Iterator[FileSystem]:
    """Give a file system whose owners are the host's, with an agent for it."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield with_agent(FileSystem(Path(directory) / "gpfs", real_ownership=True))


def with_agent(fs: FileSystem) -> FileSystem:
    """Let commands whose first word is `agent` be run by one."""
    places = {"/usr/lpp/mmfs/bin": fs.bin, "/gpfs/fs1": fs.mount}
    tools = {f"/usr/bin/{name}": fs.bin / name for name in ("chown", "chmod", "stat")}
    fs.runs = runner({"agent": shipped(fs.directory, {**places, **tools})})
    return fs


def made(fs: FileSystem, **dependent: object) -> tuple[Ledger, Key, Key]:
    """Make a project's fileset, open to its members, and a dependent one that lies in it."""
    ledger = Ledger(fs.handler())
    parent = ledger.provision(PARENT, fileset="cf1", gid=GROUP)
    given = {"kind": "dependent", "parent": "cf1", "gid": GROUP, **dependent}
    lower = ledger.provision(DEPENDENT, fileset="data", **given)
    outcomes = ledger.run()
    assert [outcome.fault for outcome in outcomes.values()] == [None, None]
    fs.calls.clear()
    return ledger, parent, lower


def by(fs: FileSystem, ledger: Ledger, prefix: list[str], **settings: object) -> Ledger:
    """Give the same ledger to a handler that runs its commands otherwise."""
    ledger.handler = fs.handler(prefix=prefix, **settings)
    return ledger


def shut(path: Path) -> bool:
    found = path.lstat()
    return (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o700)


def fault_of(ledger: Ledger, key: Key) -> Fault:
    fault = ledger.run(key)[key].fault
    assert fault is not None
    return fault


# By an agent.


@pytest.mark.parametrize("acl", [None, "project"])
@pytest.mark.parametrize("claimed", [True, False], ids=["suspended", "claimed by nobody"])
def test_what_lies_in_its_open_parent_is_closed_by_an_agent(
    fs: FileSystem, acl: str | None, claimed: bool
) -> None:
    ledger, _, lower = made(fs, **({"acl": acl, "group": "cf1"} if acl else {}))
    assert (fs.mount / "cf1").stat().st_mode & 0o7777 == 0o2770
    by(fs, ledger, AGENT)
    if claimed:
        ledger.suspend(lower)
    else:
        ledger.claims[lower] = {}
    state = ledger.converged(lower)
    assert shut(fs.mount / "cf1" / "data")
    assert Fileset.of(state).shut
    assert (fs.mount / "cf1").stat().st_mode & 0o7777 == 0o2770
    assert fs.written() == ["chown", "chmod"]


def test_many_are_closed_by_one_call_each(fs: FileSystem) -> None:
    ledger, _, lower = made(fs)
    more = [
        ledger.provision(DEPENDENT, fileset=name, kind="dependent", parent="cf1")
        for name in ("more", "most")
    ]
    fs.mm("chmod", "00755", "--", str(fs.mount / "cf1"))
    ledger.run(*more)
    fs.mm("chmod", "02770", "--", str(fs.mount / "cf1"))
    by(fs, ledger, AGENT)
    for key in (lower, *more):
        ledger.suspend(key)
    fs.calls.clear()
    ledger.converged(lower, *more)
    assert fs.written() == ["chown", "chmod"]
    assert all(shut(fs.mount / "cf1" / name) for name in ("data", "more", "most"))


@pytest.mark.parametrize("change", ["mode", "gid", "resumed"])
def test_an_agent_gives_nothing_there(fs: FileSystem, change: str) -> None:
    ledger, _, lower = made(fs)
    by(fs, ledger, AGENT)
    if change == "resumed":
        ledger.suspend(lower)
        ledger.converged(lower)
        ledger.suspend(lower, suspended=False)
    else:
        given = {"gid": GROUP, change: {"mode": "0750", "gid": GROUP + 1}[change]}
        ledger.provision(DEPENDENT, fileset="data", kind="dependent", parent="cf1", **given)
    fs.calls.clear()
    fault = fault_of(ledger, lower)
    assert isinstance(fault, Permanent)
    assert f"{fs.mount / 'cf1'} is open to others, mode 2770" in fault.message
    assert 'with `mode: "0755"`; or suspend both, and resume the dependent' in fault.advice
    assert fs.written() == []


def test_an_acl_that_chmod_does_not_replace_is_told_with_what_to_type(tmp_path: Path) -> None:
    # Ownership is the emulator's, as the host's own chmod would have taken the ACL away.
    fs = with_agent(FileSystem(tmp_path / "gpfs"))
    ledger, _, lower = made(fs, acl="project", group="cf1")
    fs.faults(chmod_keeps_acl=True)
    by(fs, ledger, AGENT)
    ledger.suspend(lower)
    fault = fault_of(ledger, lower)
    assert fs.written() == ["chown", "chmod"]
    assert isinstance(fault, Permanent)
    assert (
        "data stays open to the users and groups in its NFSv4 ACL: chmod did not" in fault.message
    )
    assert "--allow-permission-change chmodAndSetAcl" in fault.advice
    assert "stays open" in fault_of(ledger, lower).message  # it is told as long as it is so
    assert fs.written() == ["chmod"]


# A member who exchanges it.


def _elsewhere(fs: FileSystem) -> tuple[Ledger, Key, Path]:
    """Make a fileset that lies in a member's directory, from the days when that was allowed."""
    ledger = Ledger(fs.handler())
    ledger.provision(PARENT, fileset="cf1", gid=GROUP)
    ledger.converged()
    cf1 = fs.mount / "cf1"
    assert as_member("/usr/bin/mkdir", f"{cf1}/d", f"{cf1}/decoy", f"{cf1}/decoy/data")
    mark = "hpc1:fs1/fileset/data"
    fs.mm("mmcrfileset", "fs1", "data", "-t", mark, "--inode-space", "cf1")
    fs.mm("mmlinkfileset", "fs1", "data", "-J", f"{cf1}/d/data")
    fs.mm("chown", "-h", f"0:{GROUP}", "--", f"{cf1}/d/data")
    fs.mm("chmod", "02770", "--", f"{cf1}/d/data")
    given = {"kind": "dependent", "parent": "cf1", "path": f"{cf1}/d/data"}
    lower = ledger.provision(DEPENDENT, fileset="data", **given)
    ledger.suspend(lower)
    by(fs, ledger, AGENT)
    return ledger, lower, cf1


def _swap(cf1: Path, other: str) -> None:
    assert as_member("/usr/bin/mv", "-T", f"{cf1}/d", f"{cf1}/was")
    assert as_member("/usr/bin/mv", "-T", f"{cf1}/{other}", f"{cf1}/d")


def test_it_is_closed_where_it_lies_in_a_members_directory(fs: FileSystem) -> None:
    ledger, lower, cf1 = _elsewhere(fs)
    ledger.converged(lower)
    assert shut(cf1 / "d" / "data")


@pytest.mark.parametrize("before", ["mmlsfileset", "stat", "chown", "chmod"])
def test_another_directory_in_its_place_is_told_and_nobody_says_done(
    fs: FileSystem, before: str
) -> None:
    ledger, lower, cf1 = _elsewhere(fs)
    swapped: list[str] = []

    def meanwhile(name: str) -> None:
        if name == before and not swapped:
            swapped.append(name)
            _swap(cf1, "decoy")

    fs.meanwhile = meanwhile
    for _ in range(2):  # it is told as long as it is so
        fault = fault_of(ledger, lower)
        assert isinstance(fault, Conflict)
        assert f"linked at {cf1}/d/data, but another directory is there" in fault.message
        assert "the fileset itself may be open" in fault.message
        assert f"find {fs.mount} -xdev -inum " in fault.advice
    assert swapped


@pytest.mark.parametrize("before", ["chown", "chmod"])
def test_a_link_in_its_way_leads_root_nowhere(fs: FileSystem, before: str) -> None:
    ledger, lower, cf1 = _elsewhere(fs)
    secret = fs.directory / "elsewhere" / "data"
    secret.mkdir(parents=True, mode=0o751)
    os.chown(secret, 7, 7)
    assert as_member("/usr/bin/ln", "-s", str(secret.parent), f"{cf1}/l")
    swapped: list[str] = []

    def meanwhile(name: str) -> None:
        if name == before and not swapped:
            swapped.append(name)
            _swap(cf1, "l")

    fs.meanwhile = meanwhile
    assert isinstance(fault_of(ledger, lower), Fault)
    assert swapped
    found = secret.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (7, 7, 0o751)


@pytest.mark.parametrize(
    ("mount", "seen", "told"),
    [(3, 9, False), (3, 8, True), (77, 8, False), (None, 8, False)],
    ids=["its own", "another", "stat counts otherwise", "the mount point is not seen"],
)
def test_inodes_are_compared_where_stat_counts_as_the_file_system(
    mount: int | None, seen: int, told: bool
) -> None:
    records = [{"filesetName": "root", "rootInode": "3"}, {"filesetName": "a", "rootInode": "9"}]
    one = Fileset(present=True, filesystem="fs1", mount="/m", name="a", linked=True, path="/m/p/a")
    entries = {"/m/p/a": Entry(0, 0, 0o700, True, seen)}
    if mount is not None:
        entries["/m"] = Entry(0, 0, 0o755, True, mount)
    assert ("a" in exchanged([one], records, entries)) is told


# By commands that go by name.


def test_by_name_it_is_not_closed_below_an_open_parent_and_that_is_told(fs: FileSystem) -> None:
    ledger, _, lower = made(fs)
    by(fs, ledger, BY_NAME)
    ledger.suspend(lower)
    fault = fault_of(ledger, lower)
    assert isinstance(fault, Permanent)
    assert fault.message.startswith(f"{fs.mount / 'cf1' / 'data'} stays open: ")
    assert "close the fileset above it first; or let an agent run the commands" in fault.advice
    assert fs.written() == []


@pytest.mark.parametrize("prefix", [BY_NAME, AGENT], ids=["by name", "by an agent"])
def test_a_project_and_what_lies_in_it_are_closed_together_and_opened_again(
    fs: FileSystem, prefix: list[str]
) -> None:
    ledger, parent, lower = made(fs)
    by(fs, ledger, prefix)
    for key in (parent, lower):
        ledger.suspend(key)
    ledger.converged()
    assert shut(fs.mount / "cf1" / "data")
    assert shut(fs.mount / "cf1")
    by(fs, ledger, BY_NAME)  # the shipped agent's chown gives right below the mount point alone
    for key in (parent, lower):
        ledger.suspend(key, suspended=False)
    ledger.converged()
    assert (fs.mount / "cf1" / "data").stat().st_gid == GROUP
    assert (fs.mount / "cf1").stat().st_gid == GROUP


def test_upper_ones_are_closed_first_and_given_last(fs: FileSystem) -> None:
    ledger, parent, lower = made(fs)
    by(fs, ledger, BY_NAME)
    for key in (parent, lower):
        ledger.suspend(key)
    cf1, data = str(fs.mount / "cf1"), str(fs.mount / "cf1" / "data")
    ledger.converged()
    order = [call[-1] for call in fs.calls if call[0] in ("chown", "chmod")]
    assert order == [cf1, cf1, data, data]
    fs.calls.clear()
    for key in (parent, lower):
        ledger.suspend(key, suspended=False)
    ledger.converged()
    order = [call[-1] for call in fs.calls if call[0] in ("chown", "chmod")]
    assert order == [data, data, cf1, cf1]


def test_one_by_one_the_parent_is_closed_first_and_opened_last(fs: FileSystem) -> None:
    ledger, parent, lower = made(fs)
    by(fs, ledger, BY_NAME)
    for suspended, order in ((True, (parent, lower)), (False, (lower, parent))):
        for key in order:
            ledger.suspend(key, suspended=suspended)
            ledger.converged(key)
    assert (fs.mount / "cf1" / "data").stat().st_gid == GROUP
    assert (fs.mount / "cf1").stat().st_gid == GROUP
