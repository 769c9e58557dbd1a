"""A lab whose daemons may be killed, and a service that serves in it: for bursts of requests."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy.lab import accounting, inside, place

ROOT = Path(__file__).parents[2]

STOP = 600.0
"""Seconds that a service may take to end on a busy machine."""

ENOUGH = 25
"""Users that each person adds beside a burst: then slurmdbd has time for the service alone."""

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
    """A lab of the tests' Debian, and a provisioner in it that serves in the background."""

    def __init__(self, top: Path) -> None:
        self.lab = top / "lab"
        suite = json.loads(Path(os.environ["PROVISIONER_LAB"], "lab.json").read_text())["suite"]
        words = ["--suite", suite] if suite else []
        done = self.run_outside("deploy/lab/up", str(self.lab), *words)
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
            argv, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
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
            process.wait(STOP)
            # What it entered the lab with ends at once, and tells the service, which ends later.
            inside.until(self._is_free, "the service's end", STOP)
            log.close()

    def _is_free(self) -> bool:
        """Return True if no service holds the spool or the journal."""
        for lock in (self.spool / "lock", self.config.with_name("journal.db.lock")):
            with lock.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
        return True

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

    def isolate(self, isolation: str) -> None:
        """Set MariaDB's `innodb_snapshot_isolation`, and have slurmdbd connect again."""
        lab = place.known(self.lab)
        mariadb = ["mariadb", "--no-defaults", f"--socket={lab.path('run', 'mariadb', 'socket')}"]
        self.inside(*mariadb, f"--execute=set global innodb_snapshot_isolation={isolation}")
        self.kill("slurmdbd")
        accounting.start_slurmdbd(lab)

    @contextlib.contextmanager
    def typing(self, stem: str, people: int) -> Iterator[list[str]]:
        """Have people add ENOUGH users each with sacctmgr, one after the other without a pause.

        Gives the names of those for whom it exited with 0, which grows.
        """
        over = threading.Event()
        environment = {"SLURM_CONF": str(self.lab / "etc/slurm.conf"), "PATH": os.environ["PATH"]}
        sacctmgr = [*inside.entering(self.lab), "sacctmgr", "-i", "add", "user"]
        typed: list[str] = []

        def type_on(person: int) -> None:
            for number in range(ENOUGH):
                if over.is_set():
                    return
                name = f"{stem}{person}n{number}"
                words = [*sacctmgr, name, "account=burst", "cluster=lab"]
                done = subprocess.run(words, env=environment, capture_output=True, check=False)
                if done.returncode == 0:
                    typed.append(name)

        threads = [threading.Thread(target=type_on, args=(person,)) for person in range(people)]
        for thread in threads:
            thread.start()
        try:
            yield typed
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def revive(self) -> bool:
        """Start slurmdbd again, as systemd or a person does; return True if it had ended."""
        ended = "slurmdbd" not in inside.processes(self.lab).values()
        if ended:
            accounting.start_slurmdbd(place.known(self.lab))
        return ended
