"""The mm commands of IBM Storage Scale (GPFS), and chown, chmod and stat beside them.

Promises: argv lists behind a configurable prefix; every ending of a command becomes a fault of the
contract. Unreadable output is Unavailable, with the row that is wrong. If the daemon's state can be
read, it decides, not the exit code.
Leaves out: what a fileset should be (`plan`), and anything that unlinks or deletes.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from handlers.gpfs.mm import listing, nfs4, usage
from handlers.gpfs.mm.rows import Layout, Record, Unreadable, count
from provisioner.contract import (
    Completed,
    Permanent,
    Run,
    Transient,
    Unavailable,
    Unknown,
)

PATHS_A_CALL = 500
"""Paths in one call of chown, chmod or stat: well below the kernel's limit on arguments."""

# 6027-2144 `The lockName lock for file system fileSystem is busy.` and 6027-1262 `Unable to obtain
# the GPFS configuration file lock.`: no command shows locks, so the message decides.
_BUSY = re.compile(r"\block\b.*\bis busy\b|Unable to obtain the .* lock", re.IGNORECASE)

_T = TypeVar("_T")

_NOT_RUN = {126, 127}
"""What sudo, env and shells return when a program cannot be run."""


COMMANDS = (
    *("mmlsfs", "mmlsfileset", "mmrepquota", "mmlsquota", "mmgetacl", "mmgetstate", "mmlsconfig"),
    *("mmcrfileset", "mmchfileset", "mmlinkfileset", "mmsetquota", "mmputacl"),
)
"""The mm commands that this handler runs."""

TOOLS = ("chown", "chmod", "stat")

_FS = Layout("mmlsfs", needed=("deviceName", "fieldName", "data"))
_FORMS = {
    "blockSize": r"[1-9]\d{3,}",
    "quotasEnforced": r"none|(user|group|fileset)([;,\s]+(user|group|fileset))*",
    "ACLSemantics": r"[a-z][a-z0-9]{2,}",
}
"""Fields of mmlsfs that this module reads, and the form of a value that is under its own name."""

_STATE = Layout("mmgetstate", needed=("state",))
_CONFIG = Layout("mmlsconfig", needed=("configParameter", "value"))

_ENTRY = re.compile(r"(\d{1,20}) (\d{1,20}) ([0-9a-f]{1,8}) (\d{1,20}) (.+)", re.ASCII | re.DOTALL)
"""What `stat --printf '%u %g %f %i %n'` prints of a path."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a whole file system. block_kib: block size in KiB; enforced: the kinds of quota that
    are enforced; nfs4: True if the file system keeps NFSv4 ACLs."""

    mount: str
    block_kib: int
    enforced: tuple[str, ...]
    nfs4: bool
    values: Record = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A path as stat sees it. mode: permission bits; directory: True for a directory, not a link to
    one; inode: its number."""

    uid: int
    gid: int
    mode: int
    directory: bool
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Mm:
    """The commands for one file system.

    run: runs a program; filesystem: the device's name; prefix: words before every command;
    mm_path, tools: directories of the mm commands, and of chown, chmod and stat; timeout: seconds
    for one command.
    """

    run: Run
    filesystem: str
    prefix: tuple[str, ...] = ()
    mm_path: str = "/usr/lpp/mmfs/bin"
    tools: str = "/usr/bin"
    timeout: float = 300.0

    # Reading.

    def facts(self) -> Facts:
        """Return the facts of the file system (`mmlsfs`)."""
        return self._read(_facts, "mmlsfs", self.filesystem, "-Y")

    def filesets(self) -> list[Record]:
        """Return all filesets except deleted ones (`mmlsfileset -L`); see `listing.check`.

        Raises Unavailable if the list lacks the fileset `root`, which every file system has: users
        other than root get an empty list, at some sites with exit code 0.
        """
        records = self._read(listing.filesets, "mmlsfileset", self.filesystem, "-L", "-Y")
        if not any(r["filesetName"] == "root" for r in records):
            raise Unavailable(
                f"mmlsfileset {self.filesystem}: the list lacks the fileset root, so it is not "
                "complete",
                advice="run the mm commands as root; check the setting `prefix`",
            )
        return records

    def doubt(self, records: Sequence[Record]) -> Unavailable | None:
        """Return a fault for the first row of a listing that cannot be trusted; None if all can."""
        try:
            with unavailable_if_unreadable(f"mmlsfileset {self.filesystem}"):
                for record in records:
                    listing.check(record)
        except Unavailable as fault:
            return fault
        return None

    def absent(self, name: str) -> bool:
        """Return True if no fileset has a name; asks mmlsfileset for that name alone."""
        done = self._call(self._mm("mmlsfileset", self.filesystem, name, "-L", "-Y"))
        # `Fileset named fset does not exist.`, exit code 22.
        if done.returncode and not done.timed_out and "does not exist" in done.stderr:
            return True
        if done.returncode or done.timed_out:
            raise self._away(done)
        return False

    def quotas(self, filesystem: str) -> dict[tuple[str, str], Record]:
        """Return the quotas of all filesets (`mmrepquota -j`), by the fileset's name and id.

        filesystem: its name in the listing of filesets.
        """
        return self._read(
            lambda text: usage.of_filesets(usage.REPORT.read(text), filesystem),
            *("mmrepquota", "-j", "-Y", self.filesystem),
        )

    def user_quotas(self, filesystem: str) -> dict[tuple[int, str], Record]:
        """Return the quotas of all users (`mmrepquota -u`), by uid and the fileset's name.

        filesystem: its name in the report.
        """
        return self._read(
            lambda text: usage.of_users(usage.REPORT.read(text), filesystem),
            *("mmrepquota", "-u", "-Y", self.filesystem),
        )

    def quota(self, name: str, filesystem: str) -> dict[tuple[str, str], Record]:
        """Return the quota of one fileset (`mmlsquota -j`), empty if none is kept."""
        return self._read(
            lambda text: usage.of_filesets(usage.ONE.read(text), filesystem),
            *("mmlsquota", "-j", name, "-v", "-Y", self.filesystem),
        )

    def stat(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what stat says of paths, without following a last link; missing paths are left
        out."""
        entries: dict[str, Entry] = {}
        for chunk in _chunks(paths):
            # NUL ends each record: no name can hold one.
            done = self._call(self._tool("stat", "--printf", r"%u %g %f %i %n\0", "--", *chunk))
            if done.timed_out or (done.returncode and not _said_about(done, chunk)):
                raise self._away(done)
            with unavailable_if_unreadable(shlex.join(done.argv[: -len(chunk)])):
                entries |= dict(_entry(record) for record in done.stdout.split("\0") if record)
        return entries

    def acl(self, path: str) -> str:
        """Return the NFSv4 ACL of a path (`mmgetacl`). Raises Unavailable for one that was cut."""
        return self._read(_whole_acl, "mmgetacl", "-k", "nfs4", path)

    def daemon(self) -> str:
        """Return the state of the daemon on this node: `active`, `down`, or why it is unknown.

        Raises Unavailable if mmgetstate cannot even run.
        """
        done = self._call(self._mm("mmgetstate", "-Y"))
        try:
            states = {record["state"] for record in _STATE.read(done.stdout)}
        except Unreadable as error:
            return f"unknown ({_words(done) if done.stderr.strip() else error})"
        return " ".join(sorted(states)) or f"unknown ({_words(done)})"

    def config(self) -> Record:
        """Return the cluster's configuration (`mmlsconfig`)."""
        records = self._read(_CONFIG.read, "mmlsconfig", "-Y")
        return {record["configParameter"]: record["value"] for record in records}

    def _read(self, parse: Callable[[str], _T], command: str, *args: str) -> _T:
        """Run a command that reads, and return its parsed output. Raises Unavailable."""
        text = self.read(command, *args)
        with unavailable_if_unreadable(shlex.join(self._mm(command, *args))):
            return parse(text)

    def read(self, command: str, *args: str) -> str:
        """Run a command that reads, and return its output. Raises Unavailable if it fails."""
        done = self._call(self._mm(command, *args))
        if done.returncode or done.timed_out:
            raise self._away(done)
        return done.stdout

    # Writing.

    def write(self, command: str, *args: str, stdin: str = "") -> None:
        """Run an mm command that writes.

        Raises Unknown if it got no answer, Unavailable if the daemon is not active, Transient if a
        lock is held, Permanent if the command failed otherwise.
        """
        self._written(self._call(self._mm(command, *args), stdin=stdin))

    def change(self, tool: str, *args: str, paths: Sequence[str]) -> None:
        """Run chown or chmod on paths. Raises the same faults as `write`."""
        for chunk in _chunks(paths):
            self._written(self._call(self._tool(tool, *args, "--", *chunk)))

    def _written(self, done: Completed) -> None:
        if done.timed_out or (done.returncode == 255 and self._remote):
            raise Unknown(
                f"no answer from {shlex.join(done.argv)}", advice="the service reads it again"
            )
        if not done.returncode:
            return
        if done.returncode in _NOT_RUN or (state := self.daemon()) != "active":
            raise self._away(
                done, "" if done.returncode in _NOT_RUN else f"; the daemon is {state}"
            )
        message = f"{shlex.join(done.argv)}: exit code {done.returncode}: {_words(done)}"
        if _BUSY.search(done.stderr):
            raise Transient(message)
        raise Permanent(message)

    # Running.

    @property
    def by_agent(self) -> bool:
        """Return True if an agent runs the commands: chown and chmod then work on what it has
        opened."""
        return bool(self.prefix) and self.prefix[0].split(":", 1)[0] == "agent"

    def missing(self) -> list[str]:
        """Return the programs that this handler runs and that are not there.

        An agent's programs stay unchecked: its own configuration names them, and doctor lists them.
        """
        if self.by_agent:
            return []
        paths = [f"{self.mm_path}/{name}" for name in COMMANDS]
        paths += [f"{self.tools}/{name}" for name in TOOLS]
        if self._remote:
            there = self.stat(paths)
            return [path for path in paths if path not in there]
        need = os.F_OK if self.prefix else os.X_OK  # sudo may run what this user may not
        return [path for path in paths if not os.access(path, need)]

    @property
    def _remote(self) -> bool:
        return any(PurePosixPath(word).name == "ssh" for word in self.prefix)

    def _mm(self, command: str, *args: str) -> list[str]:
        return self._argv(f"{self.mm_path}/{command}", args)

    def _tool(self, tool: str, *args: str) -> list[str]:
        return self._argv(f"{self.tools}/{tool}", args)

    def _argv(self, program: str, args: Sequence[str]) -> list[str]:
        words = [program, *args]
        # ssh joins its words and passes them to a shell on the other host.
        return [*self.prefix, *([shlex.quote(w) for w in words] if self._remote else words)]

    def _call(self, argv: Sequence[str], stdin: str = "") -> Completed:
        try:
            return self.run(argv, stdin=stdin, timeout=self.timeout)
        except Unavailable as fault:
            raise Unavailable(
                fault.message,
                advice="install it, or mount its file system; check the settings `prefix`, "
                "`mm_path` and `tools`",
            ) from fault

    def _away(self, done: Completed, more: str = "") -> Unavailable:
        ending = "timed out" if done.timed_out else f"exit code {done.returncode}"
        return Unavailable(f"{shlex.join(done.argv)}: {ending}: {_words(done)}{more}")


@contextmanager
def unavailable_if_unreadable(what: str) -> Iterator[None]:
    """Turn Unreadable into Unavailable: nothing is decided from it, and the service reads again."""
    try:
        yield
    except Unreadable as error:
        raise Unavailable(
            f"{what}: cannot read its output: {error}",
            advice="run it by hand. The service reads it again and does nothing until then; if the "
            "row looks so each time, check that fileset's comment and name",
        ) from error


def _entry(record: str) -> tuple[str, Entry]:
    """Return a path and what `stat` says of it. Raises Unreadable."""
    match = _ENTRY.fullmatch(record)
    if match is None:
        raise Unreadable("a record that is not `uid gid mode inode path`", record)
    uid, gid, raw, inode, path = match.groups()
    mode = int(raw, 16)
    return path, Entry(int(uid), int(gid), mode & 0o7777, mode >> 12 == 0o4, int(inode))


def _whole_acl(text: str) -> str:
    if not nfs4.whole(text):
        raise Unreadable("an ACL that ends too early", " ".join(text.split()))
    return text


def _facts(text: str) -> Facts:
    records = _FS.read(text)
    if len({record["deviceName"] for record in records}) > 1:
        raise Unreadable("rows of more than one file system")
    values = {record["fieldName"]: record["data"] for record in records}
    for name, form in _FORMS.items():
        if not re.fullmatch(form, values.get(name, "")):
            raise Unreadable(f"{name} is {values.get(name)!r}, among {len(records)} rows")
    for record in records:
        # One value too many before it moves the right value into the next column.
        shape = _FORMS.get(record["fieldName"])
        if shape is not None and re.fullmatch(shape, record.get("remarks", "")):
            raise Unreadable(f"{record['fieldName']} has another value behind its own")
    sizes = [count(r, "data") for r in records if r["fieldName"] == "blockSize"]
    return Facts(
        mount=values.get("defaultMountPoint", ""),
        block_kib=max(sizes) // 1024,
        enforced=tuple(re.split(r"[;,\s]+", values["quotasEnforced"])),
        nfs4=values["ACLSemantics"] != "posix",
        values=values,
    )


def mount_of(facts: Facts, configured: Path | None) -> str:
    """Return the mount point: the configured one, else that of mmlsfs. Raises Unavailable."""
    mount = str(configured) if configured else facts.mount
    if not mount.startswith("/"):
        raise Unavailable(
            f"mmlsfs gives no mount point: {mount!r}", advice="set `mount` in the configuration"
        )
    return mount.rstrip("/")


def _words(done: Completed) -> str:
    """Return what a command printed, on one line, short enough to read."""
    said = " ".join((done.stderr.strip() or done.stdout.strip()).split())
    return said[:600] or "it printed nothing"


def _said_about(done: Completed, paths: Sequence[str]) -> bool:
    """Return True if stat ran at all: it printed a path, or said that one does not exist."""
    return bool(done.stdout) or any(path in done.stderr for path in paths)


def _chunks(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), PATHS_A_CALL):
        yield paths[start : start + PATHS_A_CALL]
