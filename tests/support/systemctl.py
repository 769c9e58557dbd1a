"""A stand-in for systemctl, on a host of a test on which no systemd runs: starts and stops units.

usage: python -m tests.support.systemctl VERB [--now] UNIT...

Promises: of a unit and its drop-ins it follows ExecStartPre, ExecStart, Environment, `%i`,
EnvironmentFile, User, AmbientCapabilities, and Type=notify: a start ends when the process says that
it is ready. Leaves out: everything else, restarts among it (`supervisor`).
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS, RUN = Path("/etc/systemd/system"), Path("/run/units")
SECONDS = 60.0


class Unit:
    """What a unit says. name: with its instance."""

    def __init__(self, name: str) -> None:
        self.name = name.removesuffix(".service")
        stem, at, self.instance = self.name.partition("@")
        files = [UNITS / f"{stem}{at}.service"]
        files += sorted((UNITS / f"{stem}{at}.service.d").glob("*.conf"))
        self._said: dict[str, list[str]] = {}
        for file in files:
            for line in file.read_text().splitlines():
                key, equals, value = line.partition("=")
                if equals and not line.startswith(("#", "[")):
                    said = self._said.setdefault(key.strip(), [])
                    said.append(value.replace("%i", self.instance))
                    if not value:
                        said.clear()

    def all(self, key: str) -> list[str]:
        return self._said.get(key, [])

    def one(self, key: str) -> str:
        return (self.all(key) or [""])[-1]

    @property
    def environment(self) -> dict[str, str]:
        found = dict(line.split("=", 1) for line in self.all("Environment"))
        for name in self.all("EnvironmentFile"):
            file = Path(name.removeprefix("-"))
            if file.exists() or not name.startswith("-"):
                found |= dict(line.split("=", 1) for line in file.read_text().splitlines() if line)
        return found

    def words(self, line: str) -> list[str]:
        """Return the words that run a command as the unit's user."""
        values = self.environment
        command = [
            re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], word)
            for word in shlex.split(line)
        ]
        user = self.one("User")
        kept = [
            word.removeprefix("CAP_").lower() for word in self.one("AmbientCapabilities").split()
        ]
        caps = ",".join(["-all", *(f"+{name}" for name in kept)])
        limits = [f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}"]
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *limits, *command]

    @property
    def pid(self) -> Path:
        return RUN / f"{self.name}.pid"

    def start(self) -> None:
        """Start it, and wait until it is ready. Exit with its status if it ends."""
        RUN.mkdir(exist_ok=True)
        for line in self.all("ExecStartPre"):
            subprocess.run(self.words(line), check=True)
        address = RUN / f"{self.name}.notify"
        address.unlink(missing_ok=True)
        log = RUN / f"{self.name}.log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, log.open("ab") as said:
            manager.bind(str(address))
            address.chmod(0o777)
            manager.settimeout(0.1)
            process = subprocess.Popen(
                self.words(self.one("ExecStart")),
                env={**os.environ, **self.environment, "NOTIFY_SOCKET": str(address)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            self.pid.write_text(str(process.pid))
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                if process.poll() is not None:
                    break
                try:
                    if manager.recv(4096).startswith(b"READY=1"):
                        return
                except TimeoutError:
                    continue
        sys.exit(f"{self.name} did not start: {log.read_text()}")

    def stop(self) -> None:
        """End it, and wait for that."""
        try:
            pid = int(self.pid.read_text())
            os.kill(pid, signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError):
            return
        until = time.monotonic() + SECONDS
        while _runs(pid):
            if time.monotonic() > until:
                sys.exit(f"{self.name} does not stop")
            time.sleep(0.05)
        self.pid.unlink()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def main(verb: str, *words: str) -> None:
    """Do what is asked."""
    units = [Unit(word) for word in words if not word.startswith("-")]
    starts = verb in ("start", "restart") or (verb == "enable" and "--now" in words)
    stops = verb in ("stop", "restart") or (verb == "disable" and "--now" in words)
    if not (starts or stops or verb == "daemon-reload"):
        sys.exit(f"systemctl {verb}: this stand-in does not know that")
    for unit in units:
        if stops:
            unit.stop()
        if starts:
            unit.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
