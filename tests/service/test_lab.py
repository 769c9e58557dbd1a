"""The lab keeps to itself: two stand side by side, and taking one down leaves nothing of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from deploy.lab import inside
from deploy.lab.hold import HIDDEN

LAB = Path(__file__).resolve().parents[2] / "deploy" / "lab"
MACHINE = [Path("/etc/nsswitch.conf"), Path("/etc/hosts"), Path("/proc/sys/kernel/hostname")]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.root,
    pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="PROVISIONER_LAB names no lab"),
]


def lab(verb: str, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run up, down or enter."""
    return subprocess.run(
        [LAB / verb, directory, *words], check=False, text=True, capture_output=True, timeout=180
    )


def report(directory: Path) -> dict[str, Any]:
    """Read what a lab says of itself."""
    found: dict[str, Any] = json.loads((directory / "lab.json").read_text())
    return found


def listeners() -> str:
    """List who listens on this machine."""
    return subprocess.run(["ss", "-Hltn"], check=True, text=True, capture_output=True).stdout


@pytest.fixture
def two() -> Iterator[tuple[Path, Path]]:
    """Bring two labs up at the same time; jobs' users must pass, so not below pytest's own."""
    top = Path(mkdtemp(prefix="lab-", dir="/var/tmp"))
    top.chmod(0o755)
    pair = top / "a", top / "b"
    try:
        with ThreadPoolExecutor() as pool:
            for done in pool.map(lambda one: lab("up", one), pair):
                assert done.returncode == 0, done.stderr
        yield pair
    finally:
        for one in pair:
            lab("down", one)
        shutil.rmtree(top)


def test_two_labs_share_nothing_and_one_ends_alone(two: tuple[Path, Path]) -> None:
    gone, kept = two
    first, second = report(gone), report(kept)
    assert first["address"] != second["address"]
    assert not set(first["slurm"]["ports"].values()) & set(second["slurm"]["ports"].values())
    members = set(inside.processes(gone))
    network = first["address"].rpartition(".")[0]
    assert members
    assert f"{network}." in listeners()

    assert lab("down", gone).returncode == 0

    assert f"{network}." not in listeners()
    assert not [port for port in first["slurm"]["ports"].values() if f":{port} " in listeners()]
    assert not [pid for pid in members if Path(f"/proc/{pid}").exists()]
    assert lab("enter", kept, "getent", "group", "hpcusers").returncode == 0
    environment = {**os.environ, "SLURM_CONF": second["slurm"]["conf"]}
    nodes = subprocess.run(
        ["sinfo", "-h", "-o", "%T"], check=True, text=True, capture_output=True, env=environment
    )
    assert nodes.stdout.strip() == "idle"
    assert "is already up" in lab("up", kept).stdout


def test_the_machine_stays_as_it_was(two: tuple[Path, Path]) -> None:
    there = [file.read_text() for file in MACHINE]
    one = two[0]
    assert lab("enter", one, "getent", "group", "hpcusers").returncode == 0
    assert lab("enter", one, "hostname").stdout.strip() == report(one)["slurm"]["node"]
    outside = subprocess.run(["getent", "group", "hpcusers"], check=False, capture_output=True)
    assert outside.returncode == 2
    assert [file.read_text() for file in MACHINE] == there
    assert "ldap" not in there[0]


@pytest.fixture
def bare() -> Iterator[Path]:
    """Give a lab's directory as it is before its namespaces are made, and end them."""
    top = Path(mkdtemp(prefix="lab-", dir="/var/tmp"))
    for name in ("run", "log", "root/etc"):
        (top / name).mkdir(parents=True)
    for name in HIDDEN:
        (top / "root" / name).write_text("the lab's\n")
    yield top
    inside.end(top)
    shutil.rmtree(top)


def within(top: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program inside."""
    command = [*inside.entering(top), *words]
    return subprocess.run(command, check=False, text=True, capture_output=True)


def test_a_file_of_the_machine_that_shines_through_is_covered_again(bare: Path) -> None:
    """What a renamed /etc/nsswitch.conf does to the mount on it, done to one namespace alone."""
    inside.hold(bare)
    assert inside.cover_again(bare) == []
    assert within(bare, "umount", "/etc/nsswitch.conf").returncode == 0
    assert inside.cover_again(bare) == ["/etc/nsswitch.conf"]
    assert within(bare, "cat", "/etc/nsswitch.conf").stdout == "the lab's\n"


@pytest.fixture
def tree() -> Iterator[Path]:
    """Make a Debian that is just large enough to be looked at from inside."""
    top = Path(mkdtemp(prefix="tree-", dir="/var/tmp"))
    top.chmod(0o755)
    (top / "usr").mkdir()
    (top / "etc").mkdir()
    for link in ("bin", "sbin", "lib", "lib64"):
        (top / link).symlink_to(f"usr/{link}")
    for place in ("mnt", "proc", "run", "usr/bin"):
        (top / place).mkdir()
    for program in ("mount", "umount", "cat", "touch", "hostname"):
        file = shutil.which(program)
        assert file is not None
        shutil.copy(file, top / "usr/bin" / program)
        needed = subprocess.run(["ldd", file], check=True, text=True, capture_output=True).stdout
        for library in re.findall(r"(/lib\S+)", needed):
            target = top / "usr" / library.removeprefix("/").removeprefix("usr/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    for name in HIDDEN:
        (top / name).write_text("the tree's\n")
    (top / "etc/os-release").write_text("VERSION_CODENAME=tree\n")
    yield top
    shutil.rmtree(top)


def test_a_lab_on_another_debian_has_its_tree_for_a_root(bare: Path, tree: Path) -> None:
    """nsenter, which goes to the root of a mount namespace, stays in it."""
    inside.hold(bare, tree)
    assert within(bare, "cat", "/etc/os-release").stdout == "VERSION_CODENAME=tree\n"
    assert within(bare, "cat", "/etc/nsswitch.conf").stdout == "the lab's\n"
    assert within(bare, "cat", __file__).stdout == Path(__file__).read_text(encoding="utf-8")
    assert within(bare, "touch", str(bare / "log/here")).returncode == 0
    assert (bare / "log/here").exists()


def test_labs_that_share_a_tree_leave_it_as_it_is(bare: Path, tree: Path) -> None:
    inside.hold(bare, tree)
    assert "Read-only file system" in within(bare, "touch", "/usr/here").stderr
    inside.end(bare)
    assert str(tree) not in Path("/proc/mounts").read_text()


def test_clients_of_a_lab_run_inside_for_who_is_outside(bare: Path, tree: Path) -> None:
    (bare / "words").write_text("a b\n")
    inside.hold(bare, tree)
    words = [str(inside.lend(bare, ["cat"]) / "cat"), "words", "/etc/os-release"]
    done = subprocess.run(words, check=True, text=True, capture_output=True, cwd=bare)
    assert done.stdout == "a b\nVERSION_CODENAME=tree\n"
