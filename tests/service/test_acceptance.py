"""The one that matters most: a person who exists nowhere gets everything, and it works.

In the lab, against a real Samba AD, a slapd, a real Slurm and the emulated GPFS: the person
resolves through NSS, owns a home, may write to the project's fileset and runs a job in the
allocation's account. After a suspension the next job is refused, and no file is gone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
]


class Site:
    """A provisioner of its own on the lab's backends; `run` is inside, where names resolve."""

    def __init__(self, lab: Path, directory: Path, name: str) -> None:
        self.lab = lab
        self.name = name
        self.directory = directory
        config = yaml.safe_load((lab / "provisioner.yaml").read_text())
        config |= {
            "service": f"t-{name}",
            "spool": str(directory / "spool"),
            "journal": str(directory / "journal.db"),
        }
        self.config = directory / "provisioner.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self.provisioner("init")

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program inside the lab's namespaces."""
        enter = [str(ROOT / "deploy/lab/enter"), str(self.lab)]
        done = subprocess.run(
            [*enter, *argv], capture_output=True, text=True, timeout=900, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def provisioner(self, *argv: str, check: bool = True) -> str:
        """Run a verb."""
        program = [sys.executable, "-c", "from provisioner.cli.main import main; main()"]
        done = self.run(*program, "--config", str(self.config), *argv, check=check)
        return done.stdout + done.stderr

    def serve(self, request: str) -> None:
        """Drop a request and serve until nothing is left; it must end done."""
        file = self.directory / "request.yaml"
        file.write_text(request)
        self.provisioner("submit", str(file))
        told = self.provisioner("run", "--drain", check=False)
        failed = sorted((self.directory / "spool/failed").glob("*.result.yaml"))
        assert not failed, failed[0].read_text()
        assert not list((self.directory / "spool/deferred").iterdir()), told

    def as_user(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as the person."""
        uid, gid = (self.run("id", flag, self.name).stdout.strip() for flag in ("-u", "-g"))
        groups = ",".join(self.run("id", "-G", self.name).stdout.split())
        who = ["setpriv", "--reuid", uid, "--regid", gid, "--groups", groups]
        return self.run(*who, *argv, check=check)

    def job(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Submit a job in the allocation's account that writes who it is."""
        out = self.directory / "out/job.out"
        out.unlink(missing_ok=True)
        conf = f"SLURM_CONF={self.lab}/etc/slurm.conf"
        batch = [
            "sbatch",
            "--parsable",
            "-A",
            self.account,
            "-o",
            str(out),
            "-D",
            "/",
            "--wrap",
            "id -un",
        ]
        return self.as_user("env", conf, *batch, check=check)

    @property
    def account(self) -> str:
        return f"p{self.name}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Give a site and a name that exists nowhere."""
    # Not below pytest's own directory, which nobody else may pass: the job writes here.
    with tempfile.TemporaryDirectory(prefix="provisioner-") as made:
        directory = Path(made)
        directory.chmod(0o711)
        (directory / "out").mkdir()
        (directory / "out").chmod(0o1777)
        name = "u" + uuid.uuid4().hex[:8]
        yield Site(Path(os.environ["PROVISIONER_LAB"]), directory, name)


def allocation(site: Site, verb: str = "provision") -> str:
    return f"""\
provisioner: 1
action: allocation.{verb}
allocation:
  id: {site.name}
  resource: hpc
  project: {{code: {site.account}, title: Acceptance {site.name}}}
"""


def test_a_person_who_exists_nowhere_gets_everything_and_runs_a_job(site: Site) -> None:
    assert site.run("id", site.name, check=False).returncode != 0
    site.serve(
        f"provisioner: 1\naction: user.provision\nuser:\n  name: {site.name}\n"
        "  full_name: Ada Lovelace\n  surname: Lovelace\n"
    )
    site.serve(allocation(site) + f"  users: [{site.name}]\n  quota: {{space: 1GiB}}\n")

    line = site.run("getent", "passwd", site.name).stdout
    uid, home = line.split(":")[2], line.split(":")[5]
    assert int(uid) >= 20000
    assert site.run("stat", "-c", "%u %a", home).stdout.split() == [uid, "700"]
    site.as_user("touch", f"{home}/mine")

    fileset = f"{site.lab}/gpfs/fs1/{site.account}"
    site.as_user("touch", f"{fileset}/result")

    site.job()
    out = site.directory / "out/job.out"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (out.exists() and out.read_text()):
        time.sleep(0.2)
    assert out.read_text().strip() == site.name


def test_a_suspension_refuses_the_next_job_and_loses_no_file(site: Site) -> None:
    site.serve(allocation(site, "suspend").replace("  project", "  # project"))
    refused = site.job(check=False)
    assert refused.returncode != 0, refused.stdout
    assert re.search(r"submit|limit|account", refused.stderr, re.IGNORECASE)
    fileset = f"{site.lab}/gpfs/fs1/{site.account}"
    assert site.as_user("ls", fileset, check=False).returncode != 0
    assert site.run("ls", fileset).stdout.split() == ["result"]


def test_a_resume_gives_all_of_it_back(site: Site) -> None:
    site.serve(allocation(site, "resume").replace("  project", "  # project"))
    fileset = f"{site.lab}/gpfs/fs1/{site.account}"
    assert site.as_user("ls", fileset).stdout.split() == ["result"]
    site.job()


def test_status_shows_what_every_backend_says(site: Site) -> None:
    told = site.provisioner("status", f"user:{site.name}", "--json")
    for instance in ("ad/", "lds/", "homes/", "groups/", "slurm-lab/"):
        assert f'"object": "{instance}' in told
