"""Changes behind the service's back: what others do to the sandbox's backends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from handlers.emulators.ldap.store import Store

REPLACE = 2
"""The verb of a modification that replaces the values of an attribute."""


def run(*words: str | Path) -> None:
    """Run a program of an emulated backend."""
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def slurm_limit(root: Path, user: str, account: str, limit: str) -> None:
    """Give an association another limit."""
    where = ("where", f"account={account}", "cluster=a", "set", limit)
    run(root / "slurm/bin/sacctmgr", "-i", "modify", "user", user, *where)


def quota(root: Path, fileset: str, space: str) -> None:
    """Give a fileset another quota."""
    words = (f"fs1:{fileset}", "--block", f"{space}:{space}")
    run(root / "gpfs/bin/mmsetquota", *words)


def attribute(root: Path, directory: str, dn: str, name: str, *values: str) -> None:
    """Replace an attribute of an entry. directory: ad or lds."""
    store = Store.at(root / f"{directory}.json")
    with store.writing():
        store.modify(dn, [(REPLACE, name, [value.encode() for value in values])])


def disabled(root: Path, user: str, *, control: str = "514") -> None:
    """Disable an account of the AD, or with 512 enable it."""
    dn = f"CN={user},OU=people,DC=campus,DC=test"
    attribute(root, "ad", dn, "userAccountControl", control)


def home_mode(root: Path, user: str, mode: int) -> None:
    """Change the mode of a home; the sandbox writes down modes instead of setting them."""
    there = (root / "home" / user).stat()
    line = json.dumps([f"{there.st_dev}:{there.st_ino}", {"mode": mode}])
    with (root / "host/owners.jsonl").open("a") as file:
        file.write(f"{line}\n")
