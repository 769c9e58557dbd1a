"""Programs behind a prefix, and chown, chmod and stat among them.

Promises: argv lists without a shell; every ending of a program becomes a fault of the contract.
Leaves out: the mm commands (`client`).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from handlers.gpfs.terms.rows import Unreadable
from handlers.gpfs.transport import Entry, unavailable_if_unreadable
from provisioner.contract import Completed, Permanent, Run, Transient, Unavailable, Unknown

PATHS_A_CALL = 500
"""Paths in one call of chown, chmod or stat: well below the kernel's limit on arguments."""

# 6027-2144 `The lockName lock for file system fileSystem is busy.` and 6027-1262 `Unable to obtain
# the GPFS configuration file lock.`: no command shows locks, so the message decides.
_BUSY = re.compile(r"\block\b.*\bis busy\b|Unable to obtain the .* lock", re.IGNORECASE)

_NOT_RUN = {126, 127}
"""What sudo, env and shells return when a program cannot be run."""

TOOLS = ("chown", "chmod", "stat")

_ENTRY = re.compile(r"(\d{1,20}) (\d{1,20}) ([0-9a-f]{1,8}) (\d{1,20}) (.+)", re.ASCII | re.DOTALL)
"""What `stat --printf '%u %g %f %i %n'` prints of a path."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs programs. prefix: words before every program; timeout: seconds for one."""

    run: Run
    prefix: tuple[str, ...] = ()
    timeout: float = 300.0

    @property
    def by_agent(self) -> bool:
        """Return True if an agent runs the programs: chown and chmod then work on what it has
        opened."""
        return bool(self.prefix) and self.prefix[0].split(":", 1)[0] == "agent"

    @property
    def remote(self) -> bool:
        """Return True if ssh runs the programs."""
        return any(PurePosixPath(word).name == "ssh" for word in self.prefix)

    def argv(self, program: str, args: Sequence[str]) -> list[str]:
        """Return the whole argument list of a program."""
        words = [program, *args]
        # ssh joins its words and passes them to a shell on the other host.
        return [*self.prefix, *([shlex.quote(w) for w in words] if self.remote else words)]

    def call(self, argv: Sequence[str], stdin: str = "") -> Completed:
        """Run a program. Raises Unavailable if it cannot be run."""
        try:
            return self.run(argv, stdin=stdin, timeout=self.timeout)
        except Unavailable as fault:
            raise Unavailable(
                fault.message,
                advice="install it, or mount its file system; check the settings `prefix`, "
                "`mm_path` and `tools`",
            ) from fault

    def written(self, done: Completed, daemon: Callable[[], str]) -> None:
        """Raise the fault of a program that wrote. daemon: returns the GPFS daemon's state.

        Raises Unknown if it got no answer, Unavailable if the daemon is not active, Transient if a
        lock is held, Permanent if the program failed otherwise.
        """
        if done.timed_out or (done.returncode == 255 and self.remote):
            raise Unknown(
                f"no answer from {shlex.join(done.argv)}", advice="the service reads it again"
            )
        if not done.returncode:
            return
        if done.returncode in _NOT_RUN or (state := daemon()) != "active":
            raise away(done, "" if done.returncode in _NOT_RUN else f"; the daemon is {state}")
        message = f"{shlex.join(done.argv)}: exit code {done.returncode}: {printed(done)}"
        if _BUSY.search(done.stderr):
            raise Transient(message)
        raise Permanent(message)

    def missing(self, paths: Sequence[str], tools: Tools) -> list[str]:
        """Return the programs that are not there, or cannot be run.

        An agent's programs stay unchecked: its own configuration names them, and doctor lists them.
        """
        if self.by_agent:
            return []
        if self.remote:
            there = tools.stat(paths)
            return [path for path in paths if path not in there]
        need = os.F_OK if self.prefix else os.X_OK  # sudo may run what this user may not
        return [path for path in paths if not os.access(path, need)]


def _active() -> str:
    return "active"


@dataclass(frozen=True, slots=True)
class Tools:
    """chown, chmod and stat on a host where the file system is mounted.

    directory: where they are; daemon: returns the GPFS daemon's state there; always `active` where
    no mm command can ask.
    """

    programs: Programs
    directory: str = "/usr/bin"
    daemon: Callable[[], str] = _active

    @property
    def opens(self) -> bool:
        """Return True if an agent opens the directories first."""
        return self.programs.by_agent

    def stat(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what stat says of paths, without following a last link; missing paths are left
        out."""
        entries: dict[str, Entry] = {}
        for chunk in _chunks(paths):
            # NUL ends each record: no name can hold one.
            argv = self._argv("stat", "--printf", r"%u %g %f %i %n\0", "--", *chunk)
            done = self.programs.call(argv)
            if done.timed_out or (done.returncode and not _said_about(done, chunk)):
                raise away(done)
            with unavailable_if_unreadable(shlex.join(done.argv[: -len(chunk)])):
                entries |= dict(_entry(record) for record in done.stdout.split("\0") if record)
        return entries

    def chown(self, paths: Sequence[str], uid: int, gid: int) -> None:
        """Give paths to an owner and a group, without following a last link."""
        self._change("chown", "-h", f"{uid}:{gid}", paths=paths)

    def chmod(self, paths: Sequence[str], mode: int) -> None:
        """Give paths all bits of a mode."""
        # Five digits: GNU chmod keeps a directory's set-id bits when given four.
        self._change("chmod", f"{mode:05o}", paths=paths)

    def _change(self, tool: str, *args: str, paths: Sequence[str]) -> None:
        for chunk in _chunks(paths):
            done = self.programs.call(self._argv(tool, *args, "--", *chunk))
            self.programs.written(done, self.daemon)

    def _argv(self, tool: str, *args: str) -> list[str]:
        return self.programs.argv(f"{self.directory}/{tool}", args)

    def missing(self) -> list[str]:
        """Return those of the three that are not there."""
        return self.programs.missing([f"{self.directory}/{name}" for name in TOOLS], self)


def away(done: Completed, more: str = "") -> Unavailable:
    """Return the fault of a program without an answer."""
    ending = "timed out" if done.timed_out else f"exit code {done.returncode}"
    return Unavailable(f"{shlex.join(done.argv)}: {ending}: {printed(done)}{more}")


def printed(done: Completed) -> str:
    """Return what a program printed, on one line, short enough to read."""
    said = " ".join((done.stderr.strip() or done.stdout.strip()).split())
    return said[:600] or "it printed nothing"


def _entry(record: str) -> tuple[str, Entry]:
    """Return a path and what `stat` says of it. Raises Unreadable."""
    match = _ENTRY.fullmatch(record)
    if match is None:
        raise Unreadable("a record that is not `uid gid mode inode path`", record)
    uid, gid, raw, inode, path = match.groups()
    mode = int(raw, 16)
    return path, Entry(int(uid), int(gid), mode & 0o7777, mode >> 12 == 0o4, int(inode))


def _said_about(done: Completed, paths: Sequence[str]) -> bool:
    """Return True if stat ran at all: it printed a path, or said that one does not exist."""
    return bool(done.stdout) or any(path in done.stderr for path in paths)


def _chunks(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), PATHS_A_CALL):
        yield paths[start : start + PATHS_A_CALL]
