"""The emulated mm commands hold to public transcripts: texts, exit codes and `-Y` layout."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.emulators.gpfs import mm
from handlers.gpfs.terms.listing import FILESETS
from handlers.gpfs.terms.rows import Layout
from handlers.gpfs.terms.usage import ONE, REPORT

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    mm.install(tmp_path)
    return tmp_path


@pytest.fixture
def sh(base: Path) -> Shell:
    def run(command: str, *args: str, stdin: str = "") -> tuple[int, str, str]:
        argv = [str(base / "bin" / command), *args]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_success_texts(sh: Shell, base: Path) -> None:
    said = sh("mmcrfileset", "fs1", "a", "--inode-space", "new")
    assert said == (0, "Fileset a created with id 1 root inode 524291.\n", "")
    assert sh("mmsetquota", "fs1:a", "--block", "10G:10G") == (0, "", "")
    path = str(base / "fs1" / "a")
    assert sh("mmlinkfileset", "fs1", "a", "-J", path) == (0, f"Fileset a linked at {path}\n", "")
    assert sh("mmchfileset", "fs1", "a", "--inode-limit", "200000") == (
        0,
        "Set maxInodes for inode space 1 to 200704\nFileset a changed.\n",
        "",
    )
    assert sh("mmunlinkfileset", "fs1", "a") == (0, "Fileset a unlinked.\n", "")


REFUSED: list[tuple[str, int, str]] = [
    ("mmcrfileset fs1 a", 17, "Fileset a already exists."),
    ("mmlsfileset fs1 fset", 22, "Fileset named fset does not exist."),
    ("mmlsfs i_dont_exist -Y", 1,
     "mmlsfs: File system i_dont_exist is not known to the GPFS cluster."),
    ("mmlsquota -j fset fs1", 22, "fs1: no such fileset in quota enabled file systems"),
    ("mmlinkfileset fs1 d -J {mount}/d", 22,
     "Fileset d can only be linked within its own inode space."),
    ("mmlinkfileset fs1 a -J {mount}/no/a", 2, "The parent directory {mount}/no of the"),
    ("mmlinkfileset fs1 a -J {mount}/dir", 17, "already exists."),
    ("mmsetquota fs1:a --block 2G:1G", 1, "soft limit"),
    ("mmsetquota fs1:a --files 5G:5G", 1, "Incorrect value"),
    ("mmchfileset fs1 a --inode-limit 10", 22, "allocated"),
    ("mmcrfileset fs1 a$b", 22, "Incorrect fileset name"),
    ("mmgetacl /etc", 1, "/etc is not a GPFS file system object."),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "words"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refusals(sh: Shell, base: Path, line: str, code: int, words: str) -> None:
    mount = str(base / "fs1")
    sh("mmcrfileset", "fs1", "a", "--inode-space", "new")
    sh("mmcrfileset", "fs1", "d", "--inode-space", "a")
    (base / "fs1" / "dir").mkdir()
    command, *args = line.format(mount=mount).split()
    found, out, err = sh(command, *args)
    assert (found, out) == (code, "")
    assert words.format(mount=mount) in err
    ending = "Command failed. Examine previous error messages to determine cause."
    assert err.endswith(f"{command}: {ending}\n")


def test_the_second_link_fails_and_changes_nothing(sh: Shell, base: Path) -> None:
    sh("mmcrfileset", "fs1", "a")
    link = ("mmlinkfileset", "fs1", "a", "-J", str(base / "fs1" / "a"))
    assert sh(*link)[0] == 0
    before = sh("mmlsfileset", "fs1", "-Y")
    assert sh(*link)[0] == 56
    assert sh("mmlsfileset", "fs1", "-Y") == before


def test_listing_in_y_layout(sh: Shell, base: Path) -> None:
    sh(
        "mmcrfileset",
        "fs1",
        "a",
        "-t",
        "end: 50%",
        "--inode-space",
        "new",
        "--inode-limit",
        "90000",
    )
    sh("mmcrfileset", "fs1", "d", "--inode-space", "a")
    text = sh("mmlsfileset", "fs1", "-L", "-Y")[1]
    assert ":end%3A 50%25:" in text
    assert ":Unlinked:%2D%2D:--:" in text
    root, own, dependent = FILESETS.read(text)
    assert (root["filesetName"], root["path"]) == ("root", str(base / "fs1"))
    assert (own["maxInodes"], own["isInodeSpaceOwner"]) == ("90112", "1")
    assert (dependent["maxInodes"], dependent["isInodeSpaceOwner"]) == ("0", "0")
    assert dependent["inodeSpace"] == own["inodeSpace"]


def test_quotas_are_rounded_up_and_reported_in_kib(sh: Shell) -> None:
    sh("mmcrfileset", "fs1", "a")
    sh("mmsetquota", "fs1:a", "--block", "1000001:5M", "--files", "10:2k")
    rows = {r["name"]: r for r in REPORT.read(sh("mmrepquota", "-j", "-Y", "fs1")[1])}
    assert (rows["a"]["blockQuota"], rows["a"]["blockLimit"]) == ("4096", "8192")
    assert (rows["a"]["filesQuota"], rows["a"]["filesLimit"]) == ("10", "2048")
    (row,) = ONE.read(sh("mmlsquota", "-j", "a", "-Y", "fs1")[1])
    assert row["blockLimit"] == "8192"


def test_a_new_root_directory_belongs_to_root_and_can_be_written_to(sh: Shell, base: Path) -> None:
    path = base / "fs1" / "a"
    sh("mmcrfileset", "fs1", "a")
    sh("mmlinkfileset", "fs1", "a", "-J", str(path))
    assert sh("stat", "--printf", r"%u %g %a\0", "--", str(path))[1] == "0 0 700\0"
    (path / "file").write_text("data")


def test_chmod_replaces_the_acl_and_keeps_set_id_bits_as_gnu_does(sh: Shell, base: Path) -> None:
    path = str(base / "fs1" / "a")
    sh("mmcrfileset", "fs1", "a")
    sh("mmlinkfileset", "fs1", "a", "-J", path)
    assert sh("mmputacl", path, stdin="special:owner@:rwxc:allow\ngroup:g:rwx-:allow\n")[0] == 0
    assert "group:g:rwx-" in sh("mmgetacl", path)[1]
    sh("chmod", "2750", "--", path)
    assert "group:g:" not in sh("mmgetacl", path)[1]
    sh("chmod", "0700", "--", path)
    assert sh("stat", "--printf", "%a", "--", path)[1] == "2700"
    sh("chmod", "00700", "--", path)
    assert sh("stat", "--printf", "%a", "--", path)[1] == "700"


def test_stat_names_what_is_missing_and_shows_the_rest(sh: Shell, base: Path) -> None:
    mount = str(base / "fs1")
    code, out, err = sh("stat", "--printf", r"%n\0", "--", mount, mount + "/no")
    assert (code, out) == (1, mount + "\0")
    assert err == f"stat: cannot statx '{mount}/no': No such file or directory\n"


@pytest.mark.parametrize(
    ("switches", "line", "words"),
    [
        ({"daemon": "down"}, "mmlsfileset fs1", "Failed to connect to file system daemon"),
        ({"quotas": "off"}, "mmrepquota -j fs1", "No quota enabled file system found."),
        ({"nonroot": True}, "mmlsfileset fs1", "No filesets found owned by this user"),
        ({"message_ids": True}, "mmlsfs fs2", "mmlsfs: 6027-1388 "),
        ({"refuse": {"mmlsfs": "no"}}, "mmlsfs fs1", "no"),
    ],
)
def test_switches(
    sh: Shell, base: Path, switches: dict[str, object], line: str, words: str
) -> None:
    (base / "faults.json").write_text(json.dumps(switches))
    command, *args = line.split()
    code, _, err = sh(command, *args)
    assert code
    assert words in err


def test_a_daemon_that_is_down_shows_in_mmgetstate(sh: Shell, base: Path) -> None:
    assert Layout("mmgetstate").read(sh("mmgetstate", "-Y")[1])[0]["state"] == "active"
    (base / "faults.json").write_text('{"daemon": "down"}')
    assert Layout("mmgetstate").read(sh("mmgetstate", "-Y")[1])[0]["state"] == "down"


def test_writers_side_by_side_lose_nothing(base: Path) -> None:
    command = str(base / "bin" / "mmcrfileset")
    running = [subprocess.Popen([command, "fs1", f"f{n}"], stdout=-3) for n in range(12)]
    assert [process.wait() for process in running] == [0] * 12
    state = json.loads((base / "state.json").read_text())
    assert len({f["id"] for f in state["filesets"].values()}) == 13


def test_installing_again_keeps_what_is_there(sh: Shell, base: Path) -> None:
    sh("mmcrfileset", "fs1", "a")
    mm.install(base)
    assert sh("mmlsfileset", "fs1", "a")[0] == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="real ownership needs root")
def test_real_ownership(tmp_path: Path) -> None:
    bin_directory = mm.install(tmp_path, real_ownership=True)
    path = tmp_path / "fs1" / "a"

    def run(command: str, *args: str, stdin: str = "") -> None:
        argv = [str(bin_directory / command), *args]
        subprocess.run(argv, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)

    run("mmcrfileset", "fs1", "a")
    run("mmlinkfileset", "fs1", "a", "-J", str(path))
    assert (path.stat().st_uid, path.stat().st_mode & 0o7777) == (0, 0o700)
    run("chown", "-h", "2001:3001", "--", str(path))
    run("chmod", "02770", "--", str(path))
    assert (path.stat().st_uid, path.stat().st_gid) == (2001, 3001)
    assert path.stat().st_mode & 0o7777 == 0o2770
    run("mmputacl", str(path), stdin="special:owner@:rwxc:allow\n")
    assert path.stat().st_mode & 0o7777 == 0o2700
