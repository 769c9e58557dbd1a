"""A sandbox after old scripts have worked in it: people, homes, filesets, Slurm accounts.

People: jdoe and asmith in the directory, each with a home. Project CF0003: an account with both in
it, and a fileset. No portal knows the account `legacy` with bwong, or the fileset `scratch-old`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from provisioner.contract import Owner
from tests.support.ad_backends import Backend

PEOPLE = {"jdoe": 20100, "asmith": 20101}
GROUP = 30100
_PASSWORD = '"Secret.2026"'.encode("utf-16-le")


def old_scripts(box: Path) -> None:
    """Do what a center's scripts did before, with the emulated programs and directory."""
    ad = Backend("ad", {"servers": [f"emulated://{box}/ad.json"]}, "DC=campus,DC=test", "t")
    for name, number in PEOPLE.items():
        home = f"{box}/home/{name}"
        ids = {"uidNumber": number, "gidNumber": number, "unixHomeDirectory": home}
        told = {"mail": f"{name}@campus.test", "loginShell": "/bin/bash"}
        ad.user(name, userAccountControl=512, unicodePwd=_PASSWORD, **ids, **told)
        Path(home).mkdir(mode=0o700)
        _owned(box, name, number)
    members = [f"cn={name},OU=people,DC=campus,DC=test" for name in PEOPLE]
    group: dict[str, Any] = {
        "objectClass": ["top", "group"],
        "sAMAccountName": "cf0003",
        "gidNumber": GROUP,
    }
    group |= {"description": "Protein folding", "member": members}
    ad.directory().add("CN=cf0003,OU=groups,DC=campus,DC=test", group)
    slurm, gpfs = box / "slurm/bin/sacctmgr", box / "gpfs/bin"
    for account, title, users in (
        ("cf0003", "protein folding", "jdoe,asmith"),
        ("legacy", "before our time", "bwong"),
    ):
        about = (f"description={title}", "organization=hpc", "parent=root")
        _run(slurm, "-i", "add", "account", account, "cluster=a", *about)
        _run(slurm, "-i", "add", "user", users, "cluster=a", f"account={account}")
    for fileset in ("cf0003", "scratch-old"):
        path = box / "gpfs/fs1" / fileset
        _run(gpfs / "mmcrfileset", "fs1", fileset, "--inode-space", "new")
        _run(gpfs / "mmlinkfileset", "fs1", fileset, "-J", str(path))
        _run(gpfs / "mmsetquota", f"fs1:{fileset}", "--block", "5T:5T")
        _run(gpfs / "chown", f"0:{GROUP}", path)
        _run(gpfs / "chmod", "2770", path)


def _run(*argv: str | Path) -> None:
    subprocess.run(list(map(str, argv)), check=True, capture_output=True)


def _owned(box: Path, name: str, number: int) -> None:
    """Let the emulated host remember an owner that only root could set."""
    from handlers.emulators.host import EmulatedHost

    EmulatedHost(box / "host").set_owner(box / "home", name, owner=Owner(number, number))


def manifest(box: Path, *lines: dict[str, Any]) -> Path:
    """Write what a portal wants."""
    path = box / "portal.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def person(name: str) -> dict[str, Any]:
    """Write a user as a manifest lists one."""
    return {"action": "user.provision", "user": {"name": name, "email": f"{name}@campus.test"}}


def allocation(number: int, resource: str, *users: str, **more: Any) -> dict[str, Any]:
    """Write an allocation of CF0003 as a manifest lists one."""
    body = {
        "id": number,
        "resource": resource,
        "project": {"code": "CF0003", "title": "Protein folding"},
        "users": list(users),
        **more,
    }
    return {"action": "allocation.provision", "allocation": body}


def members(box: Path) -> set[str]:
    """Return the names of those in the group of CF0003."""
    ad = Backend("ad", {"servers": [f"emulated://{box}/ad.json"]}, "DC=campus,DC=test", "t")
    entry = ad.directory().read("CN=cf0003,OU=groups,DC=campus,DC=test", ["member"])
    listed = entry.texts("member") if entry is not None else []
    return {dn.partition(",")[0].partition("=")[2].lower() for dn in listed}


def state(box: Path) -> dict[str, str]:
    """Return all contents of the sandbox's backends, for a later comparison."""
    files = [box / "ad.json", box / "lds.json", *(box / "slurm").glob("*.json")]
    files += [*(box / "gpfs").glob("*.json"), *(box / "host").rglob("*")]
    contents = {str(p.relative_to(box)): p.read_text() for p in files if p.is_file()}
    tree = sorted(
        f"{os.path.relpath(Path(top, name), box)} {Path(top, name).lstat().st_mode:o}"
        for root in ("home", "gpfs/fs1")
        for top, dirs, names in os.walk(box / root)
        for name in (*dirs, *names)
    )
    return {**contents, "tree": "\n".join(tree)}
