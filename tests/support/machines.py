"""Machines of a test: hosts of a network, each with a name, a process tree and clocks of its own.

Promises: programs on a machine see its network and its processes alone, and its name as the host's.
They share this machine's files. A machine can be frozen, and lose its power. Its time of day can
differ, for programs in Python (`skewed`), as can, for all, the time since its boot. Leaves out:
what the programs are. Needs root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.networks import Network
from tests.support.waiting import until

_SKEWED = Path(__file__).parent / "skewed"
"""Has what sets the time of day of a Python program."""

_NAMED = 'hostname "$0" && exec "$@"'


@dataclass
class Machine:
    """One of them. directory: where it has its files, and its log; environment: of its programs.

    ahead: seconds by which its time of day is before this machine's; up: seconds by which it is
    longer up than this machine.
    """

    network: Network
    name: str
    directory: Path
    environment: Mapping[str, str]
    ahead: int = 0
    up: int = 0
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    def start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program that goes on, and ends with the machine at the latest."""
        with self.log.open("ab") as said:
            made = subprocess.Popen(
                self._inside(words),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=self._environment(),
                cwd=self.directory,
            )
        self._running.append(made)
        return made

    def run(self, words: Sequence[str]) -> str:
        """Run a program to its end; return what it printed. Raises CalledProcessError."""
        done = subprocess.run(
            self._inside(words),
            check=True,
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self.directory,
        )
        return done.stdout

    @property
    def log(self) -> Path:
        """Where its programs write that go on."""
        return self.directory / "log"

    @property
    def said(self) -> str:
        """What they have written."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether a program goes on."""
        return any(process.poll() is None for process in self._running)

    def freeze(self) -> None:
        """Stop all its processes, as they stand."""
        for process in self._running:
            for pid in _tree(process.pid):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for process in self._running:
            for pid in _tree(process.pid):
                os.kill(pid, signal.SIGCONT)

    def lose_power(self) -> None:
        """End all at once; no other host hears of it."""
        self.network.cut(self.name)
        self._kill()

    def end(self) -> None:
        """Let its programs end in order."""
        try:
            until(self._ended, f"{self.name} to end")
        finally:
            self._kill()

    def _ended(self) -> bool:
        """Return True if all are over; ask the others to end: one that begins hears nothing."""
        left = [process for process in self._running if process.poll() is None]
        for process in left:
            for pid in _children(process.pid):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.1 if left else 0)
        return not left

    def _kill(self) -> None:
        for process in self._running:
            process.kill()  # the first process inside goes with it, and all others with that one
            process.wait()

    def _inside(self, words: Sequence[str]) -> list[str]:
        """Return the words that run a program on the machine."""
        apart = ["unshare", "--uts", "--pid", "--mount-proc", "--kill-child=SIGKILL"]
        if self.up:
            apart += ["--time", f"--boottime={self.up}", f"--monotonic={self.up}"]
        named = ["sh", "-c", _NAMED, self.name, *words]
        enter = self.network.enter(self.name)
        return ["setpriv", "--pdeathsig=KILL", "--", *enter, *apart, "--", *named]

    def _environment(self) -> dict[str, str]:
        path = f"{_SKEWED}:{self.environment.get('PYTHONPATH', '')}"
        skewed = {"PYTHONPATH": path, "AHEAD": str(self.ahead)} if self.ahead else {}
        return {**os.environ, **self.environment, **skewed}


def _children(pid: int) -> list[int]:
    """Return the children of a process; none if it is over."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed.split()]


def _tree(pid: int) -> Iterator[int]:
    """Yield the processes below one, parents first: none starts a stopped one again."""
    for child in _children(pid):
        yield child
        yield from _tree(child)
