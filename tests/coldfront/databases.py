"""Where the tests' ColdFront keeps its data: SQLite, or a PostgreSQL or MariaDB of its own.

Promises: what was there at `keep` is there again after `restore`; everything lies below one
directory, and a server listens on a socket in it alone. Leaves out: what is in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

USER = "postgres"
"""Whom PostgreSQL runs as where the tests run as root, which it refuses to be."""


class Database(Protocol):
    """A database for one ColdFront. Nobody may be connected while it is kept or restored."""

    @property
    def url(self) -> str: ...
    def serving(self) -> contextlib.AbstractContextManager[None]: ...
    def keep(self) -> None: ...
    def restore(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A file."""

    file: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    def serving(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def keep(self) -> None:
        shutil.copyfile(self.file, self._kept)

    def restore(self) -> None:
        shutil.copyfile(self._kept, self.file)

    @property
    def _kept(self) -> Path:
        return self.file.with_name("kept.db")


@contextlib.contextmanager
def _running(words: Sequence[str], log: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Serve until the end; begin when the server answers."""
    with log.open("wb") as said:
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=said)
    try:
        while not answers():
            if server.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A cluster below a directory, of the newest version that Debian has installed."""

    directory: Path

    @property
    def url(self) -> str:
        return f"postgres://{USER}@/{self.directory}/coldfront"

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Make the cluster and serve it; it ends with this process, however that ends."""
        self.directory.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.directory, USER)
        data = self.directory / "data"
        make = ["initdb", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C"]
        subprocess.run(self._words(*make, "--no-sync", data), check=True, stdout=subprocess.DEVNULL)
        words = self._words("postgres", "-D", data, "-k", self.directory,
                            "-c", "listen_addresses=", "-c", "fsync=off")  # fmt: skip
        with _running(words, self.directory / "log", self._answers):
            self._tell("CREATE DATABASE coldfront")
            yield

    def keep(self) -> None:
        self._tell("CREATE DATABASE kept TEMPLATE coldfront")

    def restore(self) -> None:
        self._tell(
            "DROP DATABASE coldfront WITH (FORCE)", "CREATE DATABASE coldfront TEMPLATE kept"
        )

    def _answers(self) -> bool:
        asked = subprocess.run(self._psql("SELECT 1"), check=False, capture_output=True)
        return asked.returncode == 0

    def _tell(self, *statements: str) -> None:
        subprocess.run(self._psql(*statements), check=True, stdout=subprocess.DEVNULL)

    def _psql(self, *statements: str) -> list[str]:
        each = [f"--command={statement}" for statement in statements]
        place = [f"--host={self.directory}", f"--username={USER}", "--dbname=template1"]
        return ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *place, *each]

    def _words(self, program: str, *words: object) -> list[str]:
        """Write the words that run one of the server's programs."""
        [*_, newest] = sorted(
            Path("/usr/lib/postgresql").glob(f"*/bin/{program}"),
            key=lambda path: int(path.parts[-3]),
        )
        become = ["setpriv", "--pdeathsig=INT"]
        if os.geteuid() == 0:
            become += [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        return [*become, "--", str(newest), *map(str, words)]


_MAKE = "CREATE DATABASE coldfront CHARACTER SET utf8mb4"


@dataclass(frozen=True, slots=True)
class Mariadb:
    """A MariaDB below a directory, which is as fast as one that may lose all in a power cut."""

    directory: Path

    @property
    def url(self) -> str:
        return f"mysql://root@/coldfront?unix_socket={self._socket}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Make the server's files and serve them; it ends with this process, however that ends."""
        self.directory.mkdir(mode=0o700)
        place = [f"--datadir={self.directory / 'data'}", f"--tmpdir={self.directory}"]
        if os.geteuid() == 0:
            place.append("--user=root")
        make = ["mariadb-install-db", "--no-defaults", *place, "--skip-test-db",
                "--auth-root-authentication-method=normal"]  # fmt: skip
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        words = ["setpriv", "--pdeathsig=TERM", "--", "mariadbd", "--no-defaults", *place,
                 f"--socket={self._socket}", "--skip-networking", "--innodb-flush-method=nosync",
                 "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite",
                 "--skip-innodb-file-per-table"]  # fmt: skip
        with _running(words, self.directory / "log", self._answers):
            self._tell(_MAKE)
            yield

    def keep(self) -> None:
        with self._kept.open("wb") as kept:
            subprocess.run(self._client("mariadb-dump", "coldfront"), check=True, stdout=kept)

    def restore(self) -> None:
        self._tell(f"DROP DATABASE coldfront; {_MAKE}")
        with self._kept.open("rb") as kept:
            subprocess.run(self._client("mariadb", "coldfront"), check=True, stdin=kept)

    def _answers(self) -> bool:
        words = self._client("mariadb", "--execute=SELECT 1")
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    def _tell(self, statements: str) -> None:
        subprocess.run(self._client("mariadb", f"--execute={statements}"), check=True)

    def _client(self, program: str, *words: str) -> list[str]:
        return [program, "--no-defaults", f"--socket={self._socket}", "--user=root", *words]

    @property
    def _socket(self) -> Path:
        return self.directory / "socket"

    @property
    def _kept(self) -> Path:
        return self.directory / "kept.sql"
