"""A PostgreSQL of the tests' own, below one directory, which ends with the process.

Promises: a server that listens on a socket alone, run by an unprivileged user where the tests run
as root. Each journal has a schema of its own in one database, which takes no time to make. Leaves
out: what is in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

USER = "postgres"


@dataclass
class Cluster:
    """A server in a directory."""

    directory: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _named: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return the address of the database."""
        return f"postgresql:///template1?host={self.directory}&user={USER}"

    def make(self) -> str:
        """Return the address of a new schema."""
        return self.of(str(next(self._numbers)))

    def of(self, whose: str) -> str:
        """Return the address of somebody's schema, which is made at the first time."""
        name = self._named.setdefault(whose, f"journal_{len(self._named)}")
        with psycopg.connect(self.address) as conn:
            conn.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())
        return f"{self.address}&options=-csearch_path%3D{name}"

    def answers(self) -> bool:
        """Return True if the server lets a client in."""
        try:
            psycopg.connect(self.address).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def serving(directory: Path, *settings: str) -> Iterator[Cluster]:
    """Make a cluster in a directory that is not there, and serve it. Raises RuntimeError.

    settings: of the server, as `NAME=VALUE`, beside or instead of those of tests.
    """
    initialized(directory)
    made, data = Cluster(directory), str(directory / "data")
    serve = ["-D", data, "-k", str(directory)]
    for setting in ("listen_addresses=", "fsync=off", *settings):
        serve += ["-c", setting]
    with (directory / "log").open("wb") as said:
        server = subprocess.Popen(command("postgres", serve), stderr=said, stdin=subprocess.DEVNULL)
    try:
        while not made.answers():
            if server.poll() is not None:
                raise RuntimeError((directory / "log").read_text())
            time.sleep(0.05)
        yield made
    finally:
        # At a SIGTERM it would wait for all clients to leave, and this process may be one.
        server.send_signal(signal.SIGQUIT)
        server.wait()


def own(directory: Path) -> None:
    """Make a directory of the server's user."""
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(directory, USER)


def initialized(directory: Path) -> None:
    """Make a cluster, below a directory that is not there."""
    own(directory)
    make = [f"--pgdata={directory / 'data'}", "--auth=trust", f"--username={USER}"]
    make += ["--encoding=UTF8", "--locale=C", "--data-checksums", "--no-sync"]
    subprocess.run(command("initdb", make), check=True, stdout=subprocess.DEVNULL)


def command(program: str, words: Sequence[str]) -> list[str]:
    """Write the words that run a program of the newest server that is installed."""
    [*_, newest] = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3])
    )
    become = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        become += [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return [*become, "--", str(newest), *words]
