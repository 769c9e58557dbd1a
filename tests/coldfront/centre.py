"""A centre: ColdFront as it is served, and the service in the lab behind it.

Promises: each runs as a program of its own, from the settings that a centre has. Leaves out: what
people do on the pages (`browser`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from provisioner.coldfront.models import NEW, OPEN, Request

ROOT = Path(__file__).parents[2]

RESOURCES = {
    "university-hpc": {"handlers": ["slurm-lab"]},
    "project-storage": {"handlers": ["fs1"]},
}
"""ColdFront's resources, by the names that the tests give them there."""


@dataclass(frozen=True)
class Centre:
    """A lab with a service of its own, and ColdFront. url: where its pages are."""

    lab: Path
    directory: Path
    url: str

    @classmethod
    @contextmanager
    def at(cls, lab: Path, directory: Path) -> Iterator[Centre]:
        """Serve both."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        centre = cls(lab, directory, f"http://127.0.0.1:{port}")
        config = yaml.safe_load((lab / "provisioner.yaml").read_text())
        config |= {
            "service": "t-coldfront",
            "spool": str(directory / "spool"),
            "journal": str(directory / "journal.db"),
            "resources": {**config["resources"], **RESOURCES},
        }
        (directory / "provisioner.yaml").write_text(yaml.safe_dump(config))
        subprocess.run(centre._provisioner("init"), check=True, capture_output=True)
        # `--insecure` serves style sheets without DEBUG, which would show more than a centre does.
        pages = [_coldfront(), "runserver", "--noreload", "--insecure", f"127.0.0.1:{port}"]
        with (
            centre._running("pages", pages),
            centre._running("service", centre._provisioner("run")),
        ):
            centre._wait_for_pages()
            yield centre

    def coldfront(self, *words: str) -> str:
        """Run one of ColdFront's commands, as a timer or an admin does."""
        done = subprocess.run(
            [_coldfront(), *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def settle(self) -> None:
        """Sync until every request that was written is answered."""
        deadline = time.monotonic() + 300
        while Request.objects.filter(state__in=[NEW, *OPEN]).exists():
            assert time.monotonic() < deadline, self._left()
            self.coldfront("provisioner_sync")

    def _left(self) -> str:
        rows = Request.objects.filter(state__in=[NEW, *OPEN])
        return "\n".join(f"{row} is {row.state}: {row.answer}" for row in rows)

    def run(self, *argv: str) -> str:
        """Run a program where the lab's users resolve; return what it said."""
        done = subprocess.run(
            [*self._enter, *argv], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def members(self, account: str) -> list[str]:
        """List the users of a Slurm account."""
        argv = ["sacctmgr", "-nP", "show", "assoc", f"account={account}", "format=user"]
        listed = subprocess.run(
            argv,
            env={**os.environ, "SLURM_CONF": str(self.lab / "etc/slurm.conf")},
            capture_output=True,
            text=True,
            check=True,
        )
        return sorted(listed.stdout.split())

    @property
    def _enter(self) -> list[str]:
        return [str(ROOT / "deploy/lab/enter"), str(self.lab)]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PROVISIONER_STAGING": str(self.directory / "spool/staging")}

    def _provisioner(self, *words: str) -> list[str]:
        program = [sys.executable, "-c", "from provisioner.cli.main import main; main()"]
        config = ["--config", str(self.directory / "provisioner.yaml")]
        return [*self._enter, *program, *config, *words]

    @contextmanager
    def _running(self, name: str, argv: Sequence[object]) -> Iterator[None]:
        with (self.directory / f"{name}.log").open("wb") as log:
            # Whatever becomes of the tests, nothing of it is left.
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", "--", *map(str, argv)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)

    def _wait_for_pages(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urlopen(self.url, timeout=60):
                    return
            except (URLError, ConnectionError):
                log = (self.directory / "pages.log").read_text()
                assert time.monotonic() < deadline, log
                time.sleep(0.2)


def _coldfront() -> Path:
    return Path(sys.executable).with_name("coldfront")
