"""A file system by the REST API v2 of the Storage Scale GUI.

Promises: the same questions and writes as the mm commands, as requests with their jobs. The GUI is
asked to refresh its database before each listing: it may learn of a command's change only after an
hour. Long lists are read page by page.
Leaves out: what the documentation has no endpoint for (a mode), and v3 of the API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from handlers.gpfs.rest import acls, values
from handlers.gpfs.rest.directories import relative, unknown_yet
from handlers.gpfs.rest.gui import Answer, Gui
from handlers.gpfs.rest.jobs import Jobs, refusal
from handlers.gpfs.terms import listing, usage
from handlers.gpfs.terms.rows import Record, Unreadable
from handlers.gpfs.transport import (
    TRIED,
    Directories,
    Entry,
    Facts,
    Line,
    NewFileset,
    unavailable_if_unreadable,
)
from provisioner.contract import Fault, Json, Level, Permanent, Unavailable

_T = TypeVar("_T")

PAGES = 10_000
"""More pages than any list has: one page holds 1000 objects (IBM, paging)."""


@dataclass(frozen=True, slots=True)
class Rest:
    """One file system. directories: who reads and sets owners and modes; missing: returns the
    programs that they lack."""

    gui: Gui
    jobs: Jobs
    filesystem: str
    directories: Directories
    mount: Callable[[], str]
    missing: Callable[[], list[str]] = list
    makes_linked: ClassVar[bool] = True

    # Reading.

    def facts(self) -> Facts:
        """Return the facts of the file system."""
        return facts(self.gui, self.filesystem)

    def filesets(self) -> list[Record]:
        """Return all filesets except deleted ones."""
        self._refresh()
        path = f"{self._here}/filesets"
        records = [
            self._parsed(path, values.fileset, thing) for thing in self._all(path, "filesets")
        ]
        with unavailable_if_unreadable(f"GET {path}"):
            records = listing.current(records)
        if not any(record["filesetName"] == "root" for record in records):
            raise Unavailable(
                f"GET {path}: the list lacks the fileset root, so it is not complete",
                advice="check the role of the GUI user (docs/gpfs.md)",
            )
        return records

    def absent(self, name: str) -> bool:
        """Return True if no fileset has a name."""
        answer = self.gui.read(f"{self._here}/filesets/{quote(name, safe='')}")
        if not answer.fine and "filesetName" in answer.words:
            return True  # `400 Invalid value in 'filesetName'`
        _list(answer, "filesets")
        return False

    def quotas(self, filesystem: str) -> dict[tuple[str, str], Record]:
        """Return the quotas of all filesets, by name and id."""
        return self._quotas("quotaType=FILESET", filesystem)

    def quota(self, name: str, filesystem: str) -> dict[tuple[str, str], Record]:
        """Return the quota of one fileset, empty if none is kept."""
        return self._quotas(f"objectName={quote(name, safe='')},quotaType=FILESET", filesystem)

    def _quotas(self, chosen: str, filesystem: str) -> dict[tuple[str, str], Record]:
        path = f"{self._here}/quotas"
        things = self._all(path, "quotas", f"&filter={chosen}")
        records = [self._parsed(path, values.quota, thing) for thing in things]
        with unavailable_if_unreadable(f"GET {path}"):
            return usage.of_filesets(records, filesystem)

    def user_quotas(self, filesystem: str) -> dict[tuple[int, str], Record]:
        """Return the quotas of all users, by uid and the fileset's name.

        Where users are not counted in each fileset apart, the API names `root` in their rows.
        """
        path = f"{self._here}/quotas"
        apart = self.facts().values["perfilesetQuotas"] == "yes"
        things = self._all(path, "quotas", "&filter=quotaType=USR")
        records = [self._parsed(path, values.quota, thing) for thing in things]
        if not apart:
            records = [{**record, "filesetname": ""} for record in records]
        with unavailable_if_unreadable(f"GET {path}"):
            return usage.of_users(records, filesystem)

    def acl(self, path: str) -> str:
        """Return the NFSv4 ACL of a path as text of mmgetacl."""
        answer = self.gui.read(self._acl(path))
        _fine(answer)
        acl = answer.body.get("acl")
        with unavailable_if_unreadable(answer.asked):
            if not isinstance(acl, Mapping):
                raise Unreadable("no ACL in the answer")
            return acls.text(acl)

    def release(self) -> str:
        """Return '': the API tells the version of the GUI, not the cluster's level."""
        return ""

    # Writing.

    def create(self, fileset: NewFileset) -> None:
        """Make a fileset and link it: the GUI always does both."""
        self.jobs.write("POST", f"{self._here}/filesets", values.new_fileset(fileset))

    def comment(self, name: str, text: str) -> None:
        """Set a fileset's comment."""
        self.jobs.write("PUT", self._fileset(name), {"comment": text})

    def set_quota(
        self, name: str, quota: Sequence[int] | None, files: Sequence[int] | None
    ) -> None:
        """Set a fileset's soft and hard limits."""
        self.jobs.write("POST", f"{self._here}/quotas", values.new_quota(name, quota, files))

    def set_inode_limit(self, name: str, limit: int) -> None:
        """Set the inode limit of an independent fileset."""
        self.jobs.write("PUT", self._fileset(name), {"maxNumInodes": str(limit)})

    def link(self, name: str, path: str) -> None:
        """Link a fileset at an absolute path, unless its creation has done so."""
        things = _list(self.gui.read(f"{self._fileset(name)}?fields=:all:"), "filesets")
        records = [self._parsed(self._fileset(name), values.fileset, thing) for thing in things]
        if [(record["status"], record["path"]) for record in records] != [("Linked", path)]:
            self.jobs.write("POST", f"{self._fileset(name)}/link", {"path": path})

    def set_acl(self, path: str, text: str) -> None:
        """Set the NFSv4 ACL of a path."""
        try:
            body = acls.body(text)
        except ValueError as error:
            raise Permanent(
                f"{path}: the REST API documents no letter for {error}",
                advice="leave it out of the ACL template, or set `transport: mm`",
            ) from error
        try:
            self.jobs.write("PUT", self._acl(path), body)
        except Permanent as fault:
            raise unknown_yet(fault) from fault

    # Directories.

    @property
    def opens(self) -> bool:
        """Return True if an agent opens directories before it changes them."""
        return self.directories.opens

    def stat(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return what stat says of paths; missing paths are left out."""
        return self.directories.stat(paths)

    def chown(self, paths: Sequence[str], uid: int, gid: int) -> None:
        """Give paths to an owner and a group."""
        self.directories.chown(paths, uid, gid)

    def chmod(self, paths: Sequence[str], mode: int) -> None:
        """Give paths all bits of a mode."""
        self.directories.chmod(paths, mode)

    # Doctor.

    def checks(self) -> Iterator[Line]:
        """Yield which GUI nodes answer, in which version, and missing programs."""
        faults: list[Fault] = []
        for node in self.gui.nodes:
            try:
                answer = self.gui.ask(node, "info")
                _fine(answer)
            except Fault as fault:
                faults.append(fault)
                yield Level.ERROR, f"GUI node {node} cannot be used: {fault.message}", fault.advice
                continue
            info = answer.body.get("info")
            version = info.get("serverVersion") if isinstance(info, Mapping) else None
            said = f"{node}: Storage Scale {version or 'of an unknown version'} answers"
            yield Level.OK, f"{said}; tried on {TRIED}", ""
        if len(faults) == len(self.gui.nodes):
            raise Unavailable("no GUI node answers", advice=faults[0].advice)
        if gone := self.missing():
            advice = "install them; check the settings `tools` and `prefix`"
            yield Level.ERROR, f"not there, or cannot be run: {', '.join(gone)}", advice

    # Requests.

    @property
    def _here(self) -> str:
        return f"filesystems/{self.filesystem}"

    def _fileset(self, name: str) -> str:
        return f"{self._here}/filesets/{quote(name, safe='')}"

    def _acl(self, path: str) -> str:
        return f"{self._here}/acl/{relative(path, self.mount())}"

    def _refresh(self) -> None:
        """Have the GUI read filesets again; where it does not, its list may lag."""
        try:
            self.gui.write("POST", "refreshTask/enqueue?taskId=FILESETS&maxDelay=0", None)
        except Fault:
            return

    def _all(self, path: str, name: str, more: str = "") -> list[Mapping[str, Any]]:
        """Return the objects of all pages of a list. Raises Unavailable."""
        things: list[Mapping[str, Any]] = []
        last = ""
        for _ in range(PAGES):
            answer = self.gui.read(f"{path}?fields=:all:{more}{last}")
            things += _list(answer, name)
            paging = answer.body.get("paging")
            # Not its `next`: that URL may name localhost.
            following = paging.get("lastId") if isinstance(paging, Mapping) else None
            if following is None or f"&lastId={following}" == last:
                return things
            last = f"&lastId={following}"
        raise Unavailable(f"GET {path}: a list without an end")

    def _parsed(
        self, asked: str, parse: Callable[[Mapping[str, Any]], _T], thing: Mapping[str, Any]
    ) -> _T:
        with unavailable_if_unreadable(f"GET {asked}"):
            return parse(thing)


def facts(gui: Gui, filesystem: str) -> Facts:
    """Return the facts of a file system. Raises Unavailable."""
    answer = gui.read(f"filesystems/{filesystem}")
    things = _list(answer, "filesystems")
    with unavailable_if_unreadable(answer.asked):
        if len(things) != 1:
            raise Unreadable(f"{len(things)} file systems")
        return values.facts(things[0])


def _fine(answer: Answer) -> None:
    """Raise Unavailable for an answer that refuses a question."""
    if not answer.fine:
        fault = refusal(answer.words)
        raise Unavailable(fault.message, advice="check the setting `filesystem`") from fault


def _list(answer: Answer, name: str) -> list[Mapping[str, Any]]:
    """Return the objects of an answer. Raises Unavailable."""
    _fine(answer)
    things: Json = answer.body.get(name)
    if not isinstance(things, list) or not all(isinstance(thing, Mapping) for thing in things):
        raise Unavailable(f"{answer.asked}: no list of {name} in the answer")
    return [dict(thing) for thing in things if isinstance(thing, Mapping)]
