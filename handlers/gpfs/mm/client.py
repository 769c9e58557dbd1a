"""The mm commands of IBM Storage Scale (GPFS), and chown, chmod and stat beside them.

Promises: argv lists behind a configurable prefix; every ending of a command becomes a fault of the
contract. Unreadable output is Unavailable, with the row that is wrong. If the daemon's state can be
read, it decides, not the exit code.
Leaves out: what a fileset should be (`plan`), and anything that unlinks or deletes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from handlers.gpfs.mm import arguments
from handlers.gpfs.mm.programs import Programs, Tools, away, printed
from handlers.gpfs.terms import listing, nfs4, usage
from handlers.gpfs.terms.rows import Layout, Record, Unreadable, count
from handlers.gpfs.transport import TRIED, Entry, Facts, Line, NewFileset, unavailable_if_unreadable
from provisioner.contract import Level, Run, Unavailable

_T = TypeVar("_T")

COMMANDS = (
    *("mmlsfs", "mmlsfileset", "mmrepquota", "mmlsquota", "mmgetacl", "mmgetstate", "mmlsconfig"),
    *("mmcrfileset", "mmchfileset", "mmlinkfileset", "mmsetquota", "mmputacl"),
)
"""The mm commands that this handler runs."""

_FS = Layout("mmlsfs", needed=("deviceName", "fieldName", "data"))
_FORMS = {
    "blockSize": r"[1-9]\d{3,}",
    "quotasEnforced": r"none|(user|group|fileset)([;,\s]+(user|group|fileset))*",
    "ACLSemantics": r"[a-z][a-z0-9]{2,}",
}
"""Fields of mmlsfs that this module reads, and the form of a value that is under its own name."""

_STATE = Layout("mmgetstate", needed=("state",))
_CONFIG = Layout("mmlsconfig", needed=("configParameter", "value"))


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
    makes_linked: ClassVar[bool] = False

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

    def absent(self, name: str) -> bool:
        """Return True if no fileset has a name; asks mmlsfileset for that name alone."""
        done = self._programs.call(self._mm("mmlsfileset", self.filesystem, name, "-L", "-Y"))
        # `Fileset named fset does not exist.`, exit code 22.
        if done.returncode and not done.timed_out and "does not exist" in done.stderr:
            return True
        if done.returncode or done.timed_out:
            raise away(done)
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

    def acl(self, path: str) -> str:
        """Return the NFSv4 ACL of a path (`mmgetacl`). Raises Unavailable for one that was cut."""
        return self._read(_whole_acl, "mmgetacl", "-k", "nfs4", path)

    def daemon(self) -> str:
        """Return the state of the daemon on this node: `active`, `down`, or why it is unknown.

        Raises Unavailable if mmgetstate cannot even run.
        """
        done = self._programs.call(self._mm("mmgetstate", "-Y"))
        try:
            states = {record["state"] for record in _STATE.read(done.stdout)}
        except Unreadable as error:
            return f"unknown ({printed(done) if done.stderr.strip() else error})"
        return " ".join(sorted(states)) or f"unknown ({printed(done)})"

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
        done = self._programs.call(self._mm(command, *args))
        if done.returncode or done.timed_out:
            raise away(done)
        return done.stdout

    def release(self) -> str:
        """Return the cluster's minReleaseLevel."""
        return self.config().get("minReleaseLevel", "")

    # Writing.

    def create(self, fileset: NewFileset) -> None:
        """Make a fileset; it is not linked."""
        space = arguments.inode_space(fileset.parent, fileset.inode_limit)
        command = ("mmcrfileset", self.filesystem, fileset.name, "-t", fileset.comment)
        self.write(*command, *space)

    def comment(self, name: str, text: str) -> None:
        """Set a fileset's comment."""
        self.write("mmchfileset", self.filesystem, name, "-t", text)

    def set_quota(
        self, name: str, quota: Sequence[int] | None, files: Sequence[int] | None
    ) -> None:
        """Set a fileset's soft and hard limits."""
        limits = arguments.limits(quota, files)
        self.write("mmsetquota", f"{self.filesystem}:{name}", *limits)

    def set_inode_limit(self, name: str, limit: int) -> None:
        """Set the inode limit of an independent fileset."""
        self.write("mmchfileset", self.filesystem, name, "--inode-limit", str(limit))

    def link(self, name: str, path: str) -> None:
        """Link a fileset at an absolute path."""
        self.write("mmlinkfileset", self.filesystem, name, "-J", path)

    def set_acl(self, path: str, text: str) -> None:
        """Set the NFSv4 ACL of a path."""
        self.write("mmputacl", path, stdin=text)

    def write(self, command: str, *args: str, stdin: str = "") -> None:
        """Run an mm command that writes; see `Programs.written`."""
        done = self._programs.call(self._mm(command, *args), stdin=stdin)
        self._programs.written(done, self.daemon)

    # Directories.

    @property
    def opens(self) -> bool:
        """Return True if an agent opens directories before it changes them."""
        return self._programs.by_agent

    def stat(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what stat says of paths; missing paths are left out."""
        return self._tools.stat(paths)

    def chown(self, paths: Sequence[str], uid: int, gid: int) -> None:
        """Give paths to an owner and a group."""
        self._tools.chown(paths, uid, gid)

    def chmod(self, paths: Sequence[str], mode: int) -> None:
        """Give paths all bits of a mode."""
        self._tools.chmod(paths, mode)

    # Doctor.

    def checks(self) -> Iterator[Line]:
        """Yield the daemon's state, missing programs, and the cluster's level."""
        state = self.daemon()
        if state != "active":
            raise Unavailable(
                f"the GPFS daemon is {state}",
                advice="run `mmstartup`; check the settings `prefix` and `mm_path`",
            )
        yield Level.OK, "the GPFS daemon is active", ""
        commands = [f"{self.mm_path}/{name}" for name in COMMANDS]
        if gone := self._programs.missing(commands, self._tools) + self._tools.missing():
            advice = "install them; check the settings `mm_path`, `tools` and `prefix`"
            yield Level.ERROR, f"not there, or cannot be run: {', '.join(gone)}", advice
        config = self.config()
        level = config.get("minReleaseLevel", "unknown")
        yield Level.OK, f"the cluster is at release {level}; tried on {TRIED}", ""
        on_root = config.get("enforceFilesetQuotaOnRoot", "no")
        yield Level.OK, f"quotas also apply to root (enforceFilesetQuotaOnRoot): {on_root}", ""

    # Running.

    @property
    def _programs(self) -> Programs:
        return Programs(self.run, self.prefix, self.timeout)

    @property
    def _tools(self) -> Tools:
        return Tools(self._programs, self.tools, self.daemon)

    def _mm(self, command: str, *args: str) -> list[str]:
        return self._programs.argv(f"{self.mm_path}/{command}", args)


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
