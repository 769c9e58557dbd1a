"""A Debian of another suite, whose programs a lab may run: made once, and shared by labs.

Promises: a tree is whole or not there; labs mount it read-only. What it is made from is the mirror
of the machine's own Debian, or $PROVISIONER_LAB_MIRROR.
Leaves out: updating a tree. Delete it, and the next lab makes it again.
Source: debootstrap(8), unshare(1).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from pathlib import Path

from deploy.lab.place import LabError
from deploy.lab.write import run

MORE = ("slurmrestd", "slurm-wlm-jwt-plugin")
"""Packages that a tree has beside those of `install`, which this machine's own lab does without."""

NAME = re.compile(r"[a-z]{3,20}")


def cache() -> Path:
    """Name the directory of all trees."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "provisioner-lab"


def tree(suite: str) -> Path:
    """Give the tree of a suite; make it first where it is not there, which takes minutes.

    suite: a code name, such as `trixie`. Raises LabError: it cannot be made here.
    """
    if not NAME.fullmatch(suite):
        raise LabError(f"--suite takes the code name of a Debian, such as trixie; not {suite!r}")
    cache().mkdir(parents=True, exist_ok=True)
    made = cache() / suite
    with (cache() / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(suite, made)
        elif not _has_more(made):
            print(f"lab: {made} gets {', '.join(MORE)}, which it lacks", flush=True)
            _install(made)
    return made


def _make(suite: str, made: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise LabError("not installed: debootstrap; run deploy/lab/install debootstrap")
    began = time.monotonic()
    print(f"lab: making {made}, which takes minutes", flush=True)
    new = made.with_name(f"{suite}.new")
    shutil.rmtree(new, ignore_errors=True)
    known = Path("/usr/share/debootstrap/scripts", suite).exists()
    script = [] if known else ["sid"]  # A suite that is younger than debootstrap.
    run("debootstrap", "--variant=minbase", suite, str(new), _mirror(), *script)
    # What a mirror holds of a Debian in the making may be weeks old.
    apt = new / "etc/apt/apt.conf.d/90provisioner-lab"
    apt.write_text('Acquire::Check-Valid-Until "false";\n')
    _install(new)
    (new / "etc" / "hosts").touch()
    new.rename(made)
    print(f"lab: {made} is made after {time.monotonic() - began:.0f} s", flush=True)


def _has_more(tree: Path) -> bool:
    return all((tree / f"usr/share/doc/{package}").is_dir() for package in MORE)


def _install(tree: Path) -> None:
    shutil.copy(Path(__file__).with_name("install"), tree / "root")
    # Whatever a package starts there ends with the installation.
    room = ("--mount", "--pid", "--fork", "--kill-child", f"--root={tree}", "--mount-proc")
    run("unshare", *room, "--", "bash", "/root/install", *MORE)
    shutil.rmtree(tree / "var/cache/apt", ignore_errors=True)


def _mirror() -> str:
    """Give the address that this machine takes Debian's packages from. Raises LabError: none."""
    chosen = os.environ.get("PROVISIONER_LAB_MIRROR")
    if chosen:
        return chosen
    command = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
    mirrors = run(*command, "Created-By: Packages", "Label: Debian").split()
    if not mirrors:
        raise LabError("apt knows no mirror of Debian: name one in PROVISIONER_LAB_MIRROR")
    return mirrors[0]
