"""What a lab tells its users: lab.json, provisioner.yaml, and the GPFS emulator's commands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from deploy.lab import accounting, directories, inside
from deploy.lab.place import HOST, Lab
from deploy.lab.versions import versions
from deploy.lab.write import fill, run

FILESYSTEM = "fs1"


def start_gpfs(lab: Lab) -> None:
    """Write the emulator's commands; they keep their state in files, so no daemon is needed."""
    repository = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    run(sys.executable, "-m", "handlers.emulators.gpfs.mm", "install", str(lab.path("gpfs")),
        "--filesystem", FILESYSTEM, "--real-ownership", environment=environment)  # fmt: skip


def write(lab: Lab, seconds: float) -> None:
    """Write provisioner.yaml and then lab.json, whose presence says that the lab is up."""
    values: dict[str, object] = {
        "directory": lab.directory,
        "cluster": accounting.CLUSTER,
        "filesystem": FILESYSTEM,
    }
    for server in (directories.ad(lab), directories.adlds(lab)):
        values |= {f"{server.name}_{key}": value for key, value in vars(server).items()}
    fill("provisioner.yaml", lab.path("provisioner.yaml"), values)
    new = lab.path("lab.json.new")
    new.write_text(json.dumps(_report(lab, seconds), indent=2) + "\n")
    new.rename(lab.path("lab.json"))


def _clients(lab: Lab) -> str:
    """Name the directory of Slurm's clients, where they are not those of the machine's PATH."""
    return str(inside.lend(lab.directory, accounting.CLIENTS)) if lab.suite else ""


def _slurmrestd(lab: Lab) -> dict[str, str] | None:
    if not accounting.has_slurmrestd(lab):
        return None
    address = f"unix:{accounting.slurmrestd_socket(lab)}"
    return {"address": address, "token_file": str(lab.secret("slurm-token"))}


def _report(lab: Lab, seconds: float) -> dict[str, object]:
    ad = {**directories.ad(lab).report(lab), "domain": directories.DOMAIN}
    return {
        "directory": str(lab.directory),
        "address": lab.address,
        "suite": lab.suite,
        "versions": dict(versions(lab)),
        "seconds": round(seconds, 1),
        "enter": [str(Path(__file__).with_name("enter")), str(lab.directory)],
        "config": str(lab.path("provisioner.yaml")),
        "ad": ad,
        "adlds": directories.adlds(lab).report(lab),
        "rfc2307": directories.rfc2307(lab).report(lab),
        "group": {"name": "hpcusers", "gid": 10000},
        "slurm": {
            "conf": str(accounting.conf(lab)),
            "bin": _clients(lab),
            "cluster": accounting.CLUSTER,
            "other_cluster": accounting.OTHER,
            "node": HOST,
            "partition": "main",
            "munge_socket": str(accounting.munge_socket(lab)),
            "ports": dict(lab.ports),
            "slurmrestd": _slurmrestd(lab),
        },
        "mariadb": {
            "socket": str(lab.path("run", "mariadb", "socket")),
            "port": lab.ports["mariadb"],
            "password_file": str(lab.secret("slurmdbd")),
        },
        "gpfs": {
            "filesystem": FILESYSTEM,
            "bin": str(lab.path("gpfs", "bin")),
            "mount": str(lab.path("gpfs", FILESYSTEM)),
        },
        "home": str(lab.path("home")),
        "logs": str(lab.path("log")),
    }
