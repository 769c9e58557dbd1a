"""No way that leads to a fileset can be exchanged by a project's member; over emulated commands.

Where real ownership is needed, members are processes of their own uids.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.contract import Conflict, Fault, InvalidRequest, Permanent
from tests.support.gpfs_site import FileSystem, Ledger
from tests.support.members import GROUP, MEMBER, as_member


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs owners of the host."""
    needs = pytest.mark.skipif(os.geteuid() != 0, reason="real ownership needs root")
    marked: Callable[..., None] = pytest.mark.root(needs(test))
    return marked


@pytest.fixture
def fs(tmp_path: Path) -> FileSystem:
    return FileSystem(tmp_path / "gpfs")


@pytest.fixture
def owned() -> Iterator[FileSystem]:
    """A file system whose owners are the host's, in a directory that members can enter."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield FileSystem(Path(directory) / "gpfs", real_ownership=True)


def refused(ledger: Ledger, **params: object) -> Fault:
    """Ask for a fileset, which must be refused."""
    key = ledger.provision("allocation:2", **params)
    fault = ledger.run(key)[key].fault
    assert fault is not None
    return fault


# A member who exchanges what lies above a junction.


def _trap(fs: FileSystem) -> tuple[Ledger, Path]:
    """Make a project whose member has a directory and a link to exchange; give what it leads to."""
    elsewhere = fs.directory / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    secret = elsewhere / "shadow"
    secret.write_text("root's")
    secret.chmod(0o600)
    ledger = Ledger(fs.handler())
    ledger.provision(fileset="cf1", gid=GROUP)
    ledger.converged()
    cf1 = fs.mount / "cf1"
    assert as_member("/usr/bin/mkdir", f"{cf1}/d")
    assert as_member("/usr/bin/ln", "-s", str(elsewhere), f"{cf1}/l")
    return ledger, secret


def _exchange(cf1: Path, one: str, other: str) -> bool:
    """Let a member put one thing in the place of another, which lies in `e` then."""
    moves = [("-T", f"{cf1}/{one}", f"{cf1}/aside"), ("-T", f"{cf1}/{other}", f"{cf1}/{one}")]
    moves.append(("-T", f"{cf1}/aside", f"{cf1}/e"))
    return all(as_member("/usr/bin/mv", *words) for words in moves)


def _untouched(secret: Path) -> bool:
    found = secret.stat()
    return (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o600)


@real
def test_a_junction_in_another_project_is_refused_before_anything_is_made(
    owned: FileSystem,
) -> None:
    ledger, _ = _trap(owned)
    owned.written()
    fault = refused(ledger, fileset="evil", gid=GROUP, path=f"{owned.mount}/cf1/d/shadow")
    assert isinstance(fault, Permanent)
    assert (
        "is inside the fileset cf1, which belongs to another object (hpc1:fs1/fileset/cf1)"
        in fault.message
    )
    assert owned.written() == []


@pytest.mark.parametrize("command", ["mmlsfs", "stat"])
@pytest.mark.parametrize("after", [False, True], ids=["exchanged once", "exchanged back"])
@real
def test_one_that_is_linked_there_already_is_not_changed_whenever_the_way_is_exchanged(
    owned: FileSystem, command: str, after: bool
) -> None:
    ledger, secret = _trap(owned)
    cf1 = owned.mount / "cf1"
    owned.mm("mmcrfileset", "fs1", "evil", "-t", "hpc1:fs1/fileset/evil", "--inode-space", "new")
    owned.mm("mmlinkfileset", "fs1", "evil", "-J", f"{cf1}/d/shadow")
    owned.written()
    exchanged: list[bool] = []

    def meanwhile(name: str) -> None:
        if name == command and not exchanged:
            exchanged.append(_exchange(cf1, "d", "l"))
        elif after and exchanged == [True]:
            exchanged.append(_exchange(cf1, "d", "e"))

    owned.meanwhile = meanwhile
    refused(ledger, fileset="evil", gid=GROUP, path=f"{cf1}/d/shadow")
    assert exchanged
    assert all(exchanged)
    assert owned.written() == []
    assert _untouched(secret)


@pytest.mark.parametrize("command", ["chown", "chmod"])
@real
def test_what_an_admin_gives_away_meanwhile_is_seen_right_before_the_write(
    owned: FileSystem, command: str
) -> None:
    projects = owned.mount / "projects"
    projects.mkdir(mode=0o755)
    before = {"chown": "mmlinkfileset", "chmod": "chown"}[command]

    def meanwhile(name: str) -> None:
        if name == before:
            os.chown(projects, MEMBER, GROUP)

    owned.meanwhile = meanwhile
    ledger = Ledger(owned.handler(path="projects/{{ fileset }}"))
    fault = refused(ledger, fileset="cf1", gid=GROUP)
    assert f"{projects} belongs to uid {MEMBER}" in fault.message
    assert command not in owned.written()


@pytest.mark.parametrize("moment", range(2, 14, 3))
@real
def test_between_any_two_commands_a_member_can_exchange_nothing_above_a_junction(
    owned: FileSystem, moment: int
) -> None:
    projects = owned.mount / "projects"
    projects.mkdir(mode=0o755)
    tries: list[bool] = []
    seen: list[str] = []

    def meanwhile(name: str) -> None:
        seen.append(name)
        if len(seen) == moment:
            tries.append(as_member("/usr/bin/mv", str(projects), f"{projects}.old"))
            tries.append(as_member("/usr/bin/mv", f"{projects}/cf1", f"{projects}/x"))

    owned.meanwhile = meanwhile
    ledger = Ledger(owned.handler(root="projects", path="projects/{{ fileset }}"))
    ledger.provision(fileset="cf1", gid=GROUP)
    state = ledger.converged()
    assert tries == [False, False]
    assert (state["path"], state["gid"]) == (f"{projects}/cf1", GROUP)
    assert (projects / "cf1").stat().st_gid == GROUP


# Whose the directories above are.


def _given_away(fs: FileSystem, projects: Path) -> None:
    fs.mm("chown", "2101:2101", "--", str(projects))


def _bits(bits: str) -> Callable[[FileSystem, Path], None]:
    def change(fs: FileSystem, projects: Path) -> None:
        fs.mm("chmod", bits, "--", str(projects))

    return change


def _link(fs: FileSystem, projects: Path) -> None:
    projects.rmdir()
    (fs.mount / "real").mkdir()
    projects.symlink_to(fs.mount / "real")


def _file(fs: FileSystem, projects: Path) -> None:
    projects.rmdir()
    projects.write_text("")


def _acl(fs: FileSystem, projects: Path) -> None:
    # What a mode shows of an ACL is not all of it.
    text = "special:owner@:rwxc:allow\nspecial:group@:r-x-:allow\nuser:jdoe:-w--:allow\n"
    subprocess.run([fs.bin / "mmputacl", str(projects)], input=text, text=True, check=True)


@pytest.mark.parametrize(
    ("spoil", "fault", "words"),
    [
        (_given_away, Permanent, "belongs to uid 2101"),
        (_bits("02775"), Permanent, "is open to others, mode 2775"),
        (_bits("00757"), Permanent, "is open to others, mode 0757"),
        (_bits("01777"), Permanent, "is open to others, mode 1777"),
        (_acl, Permanent, "lets user:jdoe write, by its NFSv4 ACL"),
        (_link, Conflict, "is a link or not a directory"),
        (_file, Conflict, "is a link or not a directory"),
    ],
    ids=["another's", "its group's", "everybody's", "sticky", "by its ACL", "a link", "a file"],
)
def test_below_a_directory_that_is_not_an_admins_alone_nothing_is_made(
    fs: FileSystem,
    spoil: Callable[[FileSystem, Path], None],
    fault: type[Fault],
    words: str,
) -> None:
    projects = fs.mount / "projects"
    projects.mkdir()
    spoil(fs, projects)
    fs.calls.clear()
    found = refused(Ledger(fs.handler()), fileset="cf2", path="projects/sub/cf2")
    assert isinstance(found, fault)
    assert f"{projects} {words}" in found.message
    assert fs.written() == []


def test_a_site_may_name_admins_who_are_not_root(fs: FileSystem) -> None:
    projects = fs.mount / "projects"
    projects.mkdir()
    _given_away(fs, projects)
    ledger = Ledger(fs.handler(admins=[0, 2101]))
    ledger.provision(fileset="cf2", path="projects/cf2")
    assert ledger.converged()["linked"] is True


def test_a_suspended_project_is_no_place_for_anothers_junction(fs: FileSystem) -> None:
    ledger = Ledger(fs.handler())
    key = ledger.provision(fileset="cf1", gid=GROUP)
    ledger.converged()
    ledger.suspend(key)
    ledger.converged()
    fault = refused(ledger, fileset="cf2", path="cf1/cf2")
    assert "is inside the fileset cf1, which belongs to another" in fault.message


def test_a_dependent_fileset_lies_in_its_parent_as_long_as_that_is_an_admins(
    fs: FileSystem,
) -> None:
    ledger = Ledger(fs.handler())
    ledger.provision("allocation:1", fileset="zz", mode="0755")
    ledger.converged()
    key = ledger.provision("allocation:2", fileset="aa", kind="dependent", parent="zz")
    assert ledger.converged(key)["path"] == str(fs.mount / "zz" / "aa")
    fs.mm("chmod", "02770", "--", str(fs.mount / "zz"))
    fault = refused(ledger, fileset="aa", kind="dependent", parent="zz", mode="0750")
    assert f"{fs.mount / 'zz'} is open to others" in fault.message


# The root of a handler.


@pytest.mark.parametrize(
    "path",
    [
        *("cf2", "projects", "other/cf2", "projectsx/cf2", "/gpfs/fs1/cf2", "/gpfs/fs1/projects"),
        *("projects/../cf2", "projects//cf2", "projects/cf2/", "projects/./cf2", "/gpfs/fs2/cf2"),
    ],
)
def test_a_path_outside_the_root_is_refused_when_it_is_asked_for(fs: FileSystem, path: str) -> None:
    handler = fs.handler(mount="/gpfs/fs1", root="projects", path="projects/{{ fileset }}")
    with pytest.raises(InvalidRequest) as caught:
        handler.claims({"fileset": "cf2", "path": path})
    assert caught.value.field == "path"


@pytest.mark.parametrize("path", ["projects/cf2", "/gpfs/fs1/projects/sub/cf2", None])
def test_a_path_below_the_root_is_taken(fs: FileSystem, path: str | None) -> None:
    handler = fs.handler(mount="/gpfs/fs1", root="projects", path="projects/{{ fileset }}")
    assert handler.claims({"fileset": "cf2", **({"path": path} if path else {})})


def test_where_the_mount_point_is_asked_for_the_root_holds_once_it_is_known(
    fs: FileSystem,
) -> None:
    ledger = Ledger(fs.handler(root="projects", path="projects/{{ fileset }}"))
    fault = refused(ledger, fileset="cf2", path=str(fs.mount / "cf2"))
    assert f"is not below the root {fs.mount / 'projects'}" in fault.message
    assert fs.written() == []
