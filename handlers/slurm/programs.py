"""Slurm's programs: how they are run, and what an exit code or a missing answer means.

Promises: a program that only reads raises Unavailable; one that writes raises Unknown if it ran out
of time. Leaves out: argument lists (`sacctmgr`, `slurmctld`, `jobs`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.contract import Completed, Permanent, Run, Transient, Unavailable, Unknown

_NO_ACCESS = re.compile(r"(?:don't|not) have access to their default qos", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Programs:
    """How to run them. timeout: seconds."""

    run: Run
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0

    def ask(self, argv: Sequence[str], daemon: str, more: Mapping[str, str] | None = None) -> str:
        """Run a command that only reads, and return its output. Raises Unavailable."""
        run = self.run(argv, timeout=self.timeout, env={**self.environment, **(more or {})})
        return self.answer(run, daemon)

    def answer(self, done: Completed, daemon: str) -> str:
        """Return the output of a command that only reads. Raises Unavailable."""
        if done.timed_out:
            raise Unavailable(
                f"{_shown(done)} gave no answer within {self.timeout:g} s",
                advice=f"{daemon} may be up but stuck on this call: try other calls, and check its "
                "log for errors",
            )
        if done.returncode != 0:
            raise Unavailable(
                f"{_shown(done)}: {_words(done)}",
                advice=f"check that {daemon} is up and that the service's user can reach it",
            )
        return done.stdout

    def act(self, argv: Sequence[str]) -> None:
        """Run a command that writes. Raises as `check` does."""
        self.check(self.run(argv, timeout=self.timeout, env=self.environment))

    def check(self, done: Completed) -> None:
        """Raise what became of a command that wrote.

        Raises Unknown if it ran out of time, Transient if it failed; neither proves anything.
        """
        # 22.05.8 then exits with 0 and sets nothing of the whole command; later ones exit with 1.
        if not done.timed_out and _NO_ACCESS.search(done.stderr + done.stdout):
            raise Permanent(
                f"{_shown(done)}: {_words(done)}",
                advice="add the default QOS to the QOS, or remove it from the request",
            )
        if done.timed_out:
            raise Unknown(f"{_shown(done)} gave no answer within {self.timeout:g} s")
        if done.returncode != 0:
            raise Transient(
                f"{_shown(done)} exited with {done.returncode}: {_words(done)}",
                advice="run the command by hand as the service's user",
            )


def _shown(done: Completed) -> str:
    text = " ".join(done.argv)
    return text if len(text) < 160 else text[:150] + " ..."


def _words(done: Completed) -> str:
    text = " ".join((done.stderr.strip() or done.stdout.strip()).split())
    return text[:500] or f"exit code {done.returncode}"
