"""An emulated GUI over HTTPS, one for all tests of a process, and file systems behind it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from handlers.emulators.gpfs.gui import LOGIN, Gui, Ran, Server
from handlers.gpfs.handler import FilesetHandler, Settings
from handlers.gpfs.rest.connect import connect
from provisioner.contract import Run, read_settings
from tests.support.gpfs_site import Crash, FileSystem

_TOP = TemporaryDirectory(prefix="gui-")
"""Goes with the process."""

SECRETS = {"gui-user": LOGIN[0], "gui-password": LOGIN[1]}


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1 that is its own authority; return it and its key."""
    made, key = directory / "gui.pem", directory / "gui.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "30", "-subj", "/CN=gui", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "keyUsage=digitalSignature,keyCertSign", "-keyout", key, "-out", made],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@cache
def server() -> tuple[Server, Path]:
    """Return the one server of this process, and the file of its authority."""
    made, key = certificate(Path(_TOP.name))
    return Server(Gui(), made, key), made


def by(run: Run) -> object:
    """Return how a Gui runs commands by a `Run` of the contract."""

    def runs(argv: Sequence[str], stdin: str) -> Ran:
        done = run(argv, stdin=stdin, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return runs


class RestFileSystem(FileSystem):
    """An emulated file system that is reached by its GUI.

    The GUI runs the commands; owner and mode are set by chown and chmod, unless `paths: rest` says
    otherwise.
    """

    creation = ("mmcrfileset", "mmlinkfileset", "mmsetquota")

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.gui = Gui(directory, by(self._run_by_gui))  # type: ignore[arg-type]
        self.server, self.authority = server()
        self.server.gui = self.gui
        self.waits: list[float] = []
        self._dies = False

    def handler(self, **settings: object) -> FilesetHandler:
        """Build a handler that waits for no job longer than a moment."""
        rest = {
            "transport": "rest", "gui": [self.server.url], "user": "gui-user",
            "password": "gui-password", "ca_file": str(self.authority), "tools": str(self.bin),
        }  # fmt: skip
        chosen = read_settings(Settings, {"filesystem": "fs1", **rest, **settings})
        site = self.site(SECRETS.__getitem__)
        return FilesetHandler(site, chosen, connect(site, chosen, wait=self._wait))

    def _run_by_gui(self, argv: Sequence[str], *, stdin: str, timeout: float) -> object:
        try:
            return self._run(argv, stdin=stdin, timeout=timeout)
        except Crash as crash:
            self._dies = True
            return crash.done

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self._dies:
            self._dies = False
            raise Crash
