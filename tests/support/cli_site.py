"""A sandbox and the command line, as an operator has them.

Promises: a verb runs in this process as in a shell: with its output and its exit code, and it
leaves nothing behind. `Desk.shell` runs the real program, for tests of signals and pipes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli import site
from provisioner.cli.main import main
from tests.support.waiting import LONGEST, until

SAMPLES = Path(__file__).parents[2] / "templates/requests"
PROGRAM = (sys.executable, "-c", "from provisioner.cli.main import main; main()")


@dataclass(frozen=True)
class Done:
    """What a verb printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what it printed for programs."""
        return json.loads(self.out)


class Desk:
    """One sandbox, with `provisioner` at hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "provisioner.yaml"
        self.spool = root / "spool"
        made = call("sandbox", str(root))
        assert made.code == 0, made.err

    def __call__(self, *words: str, stdin: bytes = b"", code: int | None = 0) -> Done:
        """Run a verb on this sandbox; code: the exit code that is expected, None: any."""
        done = call(*words, config=str(self.config), stdin=stdin)
        assert code is None or done.code == code, f"{done.code}: {done.out}{done.err}"
        return done

    def file(self, name: str, text: str) -> str:
        """Write a file beside the sandbox; return its path."""
        path = self.root / name
        path.write_text(text)
        return str(path)

    def serve(self, *requests: str) -> str:
        """Submit requests and serve them all; return the id of the one that ended last."""
        self.submit(*requests)
        self.drain()
        [newest] = self("queue", "--ended", "1", "--json").json["ended"]
        return str(newest["id"])

    def submit(self, *requests: str) -> None:
        """Submit requests, given as files or as their text."""
        for text in requests:
            if "\n" in text:
                self("submit", "-", stdin=text.encode())
            else:
                self("submit", text)

    def begin(self, *requests: str) -> None:
        """Submit requests, and serve until nothing happens for some seconds; something waits."""
        self.submit(*requests)
        self("run", "--drain", "--patience", "6", code=5)

    def drain(self) -> None:
        """Serve until nothing is left to do, however long a busy machine takes for a step."""
        self("run", "--drain", "--patience", str(LONGEST))

    def show(self, name: str) -> Any:
        """Return what `show --json` says."""
        return self("show", name, "--json").json

    def break_off(self, name: str) -> Path:
        """Move a part of the sandbox away; return where it is now."""
        return (self.root / name).rename(self.root / f"{name}.away")

    def set(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def shell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the real program."""
        return subprocess.run(
            [*PROGRAM, *words], env=self._env(), capture_output=True, text=True, check=False
        )

    @contextlib.contextmanager
    def service(self) -> Iterator[subprocess.Popen[str]]:
        """Run the service in another process during the block; it must end well."""
        process = subprocess.Popen(
            [*PROGRAM, "run"], env=self._env(), stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: self._serves(process), "the service serves its spool")
            yield process
        finally:
            process.terminate()
            said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said

    def _serves(self, process: subprocess.Popen[str]) -> bool:
        assert process.poll() is None, process.communicate()[1]
        return site.served_by(self.spool) == process.pid

    def _env(self) -> dict[str, str]:
        return {**os.environ, "PROVISIONER_CONFIG": str(self.config)}


def call(*words: str, config: str = "", stdin: bytes = b"") -> Done:
    """Run a verb in this process; config: value of $PROVISIONER_CONFIG."""
    out, err = io.StringIO(), io.StringIO()
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVISIONER_CONFIG", config)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(words)
                code: object = 0
            except SystemExit as end:
                code = end.code
            finally:
                for number, handler in kept.items():
                    signal.signal(number, handler)
    assert isinstance(code, int | None)
    return Done(int(code or 0), out.getvalue(), err.getvalue())


def sample(name: str) -> str:
    """Return the path of a sample request."""
    return str(SAMPLES / name)


def clean(text: str) -> bool:
    """Return True if a text does not change a terminal."""
    return all(character.isprintable() or character == "\n" for character in text)


def user(name: str) -> str:
    """Write a request for a person."""
    return f"provisioner: 1\naction: user.provision\nuser: {{name: {name}}}\n"


def storage(code: str = "CF1", users: str = "jdoe") -> str:
    """Write a request for an allocation of a project on storage."""
    return f"""provisioner: 1
action: allocation.provision
allocation:
  id: 1
  resource: hpc-storage
  project: {{code: {code}, title: One, pi: jdoe}}
  users: [{users}]
  quota: {{space: 1TiB}}
"""


def of_user(verb: str, name: str) -> str:
    """Write a request that suspends or resumes a person."""
    return f"provisioner: 1\naction: user.{verb}\nuser: {{name: {name}}}\n"


SERVED = ("user-jdoe.yaml", "user-asmith.json", "storage.yaml", "compute.yaml", "membership.yaml")
"""The samples in an order in which each finds what it needs."""


def served(root: Path) -> Desk:
    """Make a sandbox in which every sample was served, the wrong one too."""
    desk = Desk(root)
    desk.serve(*map(sample, (*SERVED, "wrong-quota.yaml")))
    return desk
