"""Backends killed in the middle of a burst: afterwards everything is done and read back.

In a lab of its own, as daemons are killed with SIGKILL: slurmdbd, the MariaDB below it, Samba. The
service runs on, puts off what the dead one would have answered, and needs no hand to go on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp

import pytest
import yaml

from deploy.lab import accounting, directories, inside, place

ROOT = Path(__file__).parents[2]
BURST = 200

pytestmark = [
    pytest.mark.lab,
    pytest.mark.root,
    pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
]

ROUTE = """\
user.provision:
  - name: account
    handler: ad
    with: {name: "{{ user.name }}", surname: "{{ user.surname }}"}
  - name: association
    handler: slurm-lab
    needs: [account]
    with: {account: burst, user: "{{ user.name }}"}
project.provision:
  - {name: slurm, handler: slurm-lab, with: {account: burst}}
"""


class Site:
    """A lab, and a provisioner in it that serves in the background."""

    def __init__(self, top: Path) -> None:
        self.lab = top / "lab"
        done = self.run_outside("deploy/lab/up", str(self.lab))
        assert done.returncode == 0, done.stderr
        self.spool = top / "spool"
        config = yaml.safe_load((self.lab / "provisioner.yaml").read_text())
        config |= {
            "service": "burst",
            "spool": str(self.spool),
            "journal": str(top / "journal.db"),
            "routes": yaml.safe_load(ROUTE),
        }
        slurm = config["handlers"]["slurm-lab"]
        # A call that hangs with its daemon is given up soon. What slurmctld holds of the users is
        # not asked: the answer would come late on a machine of two cores, and is not the matter.
        slurm |= {"timeout": 20, "scontrol": []}
        lanes = {name: {"first": 0.5, "most": 2} for name in ("slurm", "directory-campus.test")}
        config["lanes"] = lanes
        self.config = top / "provisioner.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self.verb("init")

    @staticmethod
    def run_outside(*argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the checkout."""
        return subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
        )

    def inside(self, *argv: str) -> str:
        """Run a program in the lab and give what it prints."""
        done = self.run_outside("deploy/lab/enter", str(self.lab), *argv)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def program(self, *words: str) -> list[str]:
        """Write the words that run a verb."""
        python = [sys.executable, "-c", "from provisioner.cli.main import main; main()"]
        return [*python, "--config", str(self.config), *words]

    def verb(self, *words: str) -> str:
        """Run a verb in the lab."""
        return self.inside(*self.program(*words))

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve in the background."""
        enter = [str(ROOT / "deploy/lab/enter"), str(self.lab)]
        log = self.config.with_name("service.log").open("ab")
        process = subprocess.Popen([*enter, *self.program("run")], cwd=ROOT, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)
            log.close()

    def drop(self, name: str, text: str) -> None:
        """Put a request into staging as any writer does."""
        file = self.spool.parent / name
        file.write_text(text)
        file.chmod(0o600)
        file.rename(self.spool / "staging" / name)

    def ended(self, place: str, stem: str) -> int:
        """Count the requests of a burst that lie in a place."""
        return len(list((self.spool / place).glob(f"*-{stem}-*.yaml.result.yaml")))

    def kill(self, daemon: str) -> None:
        """End a daemon, and all that it forked, by SIGKILL."""
        victims = [pid for pid, name in inside.processes(self.lab).items() if name == daemon]
        assert victims
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Give a site whose daemons may be killed."""
    top = Path(mkdtemp(prefix="burst-", dir="/var/tmp"))
    top.chmod(0o755)
    try:
        yield Site(top)
    finally:
        Site.run_outside("deploy/lab/down", str(top / "lab"))
        shutil.rmtree(top)


DAEMONS: dict[str, Callable[[place.Lab], None]] = {
    "slurmdbd": accounting.start_slurmdbd,
    "mariadb": accounting.start_mariadb,
    "samba": directories.start_samba,
}


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_backend_that_is_killed_in_a_burst_costs_no_request(site: Site, daemon: str) -> None:
    stem = f"k{daemon}"
    names = [f"{stem}{number}" for number in range(BURST)]
    site.drop(
        f"{stem}-project.yaml",
        "provisioner: 1\naction: project.provision\nproject: {code: burst}\n",
    )
    with site.serving():
        inside.until(lambda: site.ended("done", stem) == 1, "the account", 60)
        for number, name in enumerate(names):
            text = (
                f"provisioner: 1\naction: user.provision\nuser: {{name: {name}, surname: Burst}}\n"
            )
            site.drop(f"{stem}-{number}.yaml", text)
            if number == BURST // 2:
                site.kill(daemon)
        time.sleep(2)
        DAEMONS[daemon](place.known(site.lab))
        with contextlib.suppress(TimeoutError):
            inside.until(lambda: site.ended("done", stem) == BURST + 1, "the burst", 150)
    told = site.verb("queue") + site.config.with_name("service.log").read_text()[-3000:]
    assert (site.ended("done", stem), site.ended("failed", stem)) == (BURST + 1, 0), told
    assert associations(site) >= set(names)
    assert resolving(site, names) == set(names)


def associations(site: Site) -> set[str]:
    """Ask slurmdbd who is in the account."""
    shown = site.inside(
        "env", f"SLURM_CONF={site.lab}/etc/slurm.conf",
        "sacctmgr", "-nP", "show", "assoc", "account=burst", "cluster=lab", "format=user",
    )  # fmt: skip
    return set(shown.split())


def resolving(site: Site, names: Sequence[str]) -> set[str]:
    """Ask Active Directory, by the lab's name service, which of some users there are."""
    shown = site.inside("sh", "-c", 'getent passwd "$@" || true', "getent", *names)
    return {line.partition(":")[0] for line in shown.splitlines()}
